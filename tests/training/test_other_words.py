"""What is said in other words still asks the same, and what nano cannot know names nothing that it knows."""

import random
from itertools import pairwise
from pathlib import Path

import pytest

from ar_omni.evaluation.heldout import HeldOut
from ar_omni.training.world.dialogues import conversation
from ar_omni.training.world.glosses import WORDNET, read_strangers
from ar_omni.training.world.other_words import rephrased, shortened, to_read
from ar_omni.training.world.phrases import (
    SORRY,
    aliases,
    held_out_requests,
    read_lines,
    recollection,
    strangers,
)
from ar_omni.training.world.pictures import load_concepts
from ar_omni.training.world.sentences import grammar, is_held_out
from ar_omni.training.world.tasks import LEARNED, in_other_words
from ar_omni.training.world.unknown import about_a_stranger, aside, invented, wonder


@pytest.fixture(scope="module")
def concepts():
    return tuple(load_concepts(Path(__file__).parents[2] / "configs/nano/concepts.json"))


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("show me a red apple in flat style", ("red apple", "flat")),
        ("could you draw grapes?", ("grapes",)),
        ("what is an owl?", ("owl",)),
        ("tell me about the flag of chad", ("flag of chad",)),
        ("draw a gorpfle", ("gorpfle",)),
    ],
)
def test_other_words_ask_for_the_same(said, kept):
    rng = random.Random(0)
    others = {rephrased(said, rng) for _ in range(200)}
    assert len(others) > 30
    assert all(word in other for other in others for word in kept)


def test_talk_gets_shorter_and_loses_marks():
    rng = random.Random(0)
    others = {shortened("i am well, how are you?", rng) for _ in range(50)}
    ends = ("well, how are you?", "well, how are you")
    assert others == {f"{start} {end}" for start in ("i am", "i'm") for end in ends}


def test_no_other_words_are_those_that_a_thing_is_evaluated_with(concepts):
    rng, held_out = random.Random(0), {said for said, _ in held_out_requests(concepts)}
    said = [
        exchange.said
        for _ in range(5000)
        for exchange in in_other_words(conversation(concepts, rng, LEARNED), rng)
        if exchange.kind == "show"
    ]
    assert len(said) > 1000 and not held_out.intersection(said)


def test_every_wonder_is_filled_and_asks_for_no_picture_that_there_is(concepts):
    rng, names = random.Random(0), {concept.name for concept in concepts}
    asked = [wonder(concepts, rng) for _ in range(2000)]
    assert not any("{" in said for said in asked)
    assert {said.split()[0] for said in asked} >= {
        line.split()[0] for line in grammar("wonder.txt")["wonder"]
    }
    things = [said.removeprefix("draw ") for said in asked if said.startswith("draw a")]
    assert things and not names.intersection(thing.partition(" ")[2] for thing in things)


def test_what_is_read_out_is_what_was_asked():
    rng = random.Random(0)
    for said, line in (to_read(rng) for _ in range(200)):
        assert line.endswith(".") and line[:-1] and line[:-1] in said


def test_what_was_said_in_other_words_is_recalled_in_those(concepts):
    rng, kinds = random.Random(0), set()
    for _ in range(500):
        exchanges = in_other_words(conversation(concepts, rng, LEARNED), rng)
        kinds |= {exchange.kind for exchange in exchanges}
        for before, exchange in pairwise(exchanges):
            if exchange.kind == "recall":
                assert exchange.answer == recollection(before.said)
        unknown = [each for each in exchanges if each.kind in ("wonder", "stranger", "aside")]
        assert all(exchange.answer == SORRY for exchange in unknown)
    assert kinds >= {"wonder", "stranger", "aside", "read", "recall"}


def test_strangers_are_none_of_the_things(concepts):
    nouns, pairs = strangers()
    called = {said.split(" ", 1)[-1] for others in aliases().values() for said in others}
    things = {concept.name for concept in concepts} | called
    words = {word for thing in things for word in thing.split()}
    assert len(nouns) > 6000 and words.isdisjoint(nouns)
    assert len(pairs) > 3000 and things.isdisjoint(pairs)
    assert all(words.intersection(pair.split()) for pair in pairs)


@pytest.mark.skipif(not WORDNET.exists(), reason="WordNet (Debian's wordnet-base) is not installed")
def test_strangers_are_those_that_wordnet_has(concepts):
    words = [word.replace("_", " ") for line in read_lines("strangers.txt") for word in line.split()]
    nouns, pairs = read_strangers(concepts)
    assert words == [*nouns, *pairs]


def test_no_stranger_that_is_asked_for_in_the_evaluation_is_learned():
    rng = random.Random(0)
    learned = {about_a_stranger(rng).rstrip("?") for _ in range(20_000)}
    asked = {kind: [] for kind in ("a noun", "two words", "no word")}
    for turn in HeldOut().questions:
        asked.get(turn.kind, []).append(turn.said.rstrip("?"))
    for kind, others in zip(asked, (*strangers(held_out=True), None), strict=True):
        assert len(asked[kind]) == 60 and learned.isdisjoint(asked[kind])
        assert others is None or all(said.endswith(others) for said in asked[kind])
    assert all(is_held_out(said.split()[-1], share=0.05) for said in asked["no word"])
    words = {word for things in strangers() for thing in things for word in thing.split()}
    made_up = {said.split()[-1] for said in learned} - words
    assert len(made_up) > 3000 and not any(is_held_out(word, share=0.05) for word in made_up)
    for held_out, known in zip(strangers(held_out=True), strangers(), strict=True):
        assert len(held_out) > 150 and set(held_out).isdisjoint(known)


def test_hardly_two_made_up_words_are_the_same():
    rng = random.Random(0)
    words = [invented(rng) for _ in range(2000)]
    assert len(set(words)) > 1990 and all(word.isalpha() for word in words)


def test_an_aside_greets_nobody():
    rng = random.Random(0)
    greetings = tuple(greeting.lower() for greeting in grammar()["greeting"])
    assert not any(aside(rng).startswith(greetings) for _ in range(2000))
