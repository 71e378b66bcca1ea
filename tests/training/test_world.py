"""nano's world: sentences from a seed, a split that leaks nothing, and labels where the sounds are."""

import itertools
import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ar_omni.training.speech_tokenizer import UNKNOWN, phoneme_inventory, phoneme_labels
from ar_omni.training.world import crowd
from ar_omni.training.world.dialogues import KINDS, conversation
from ar_omni.training.world.phrases import (
    SORRY,
    aliases,
    held_out_requests,
    small_talk,
    spoken_lines,
    unknown_words,
)
from ar_omni.training.world.pictures import STYLES, Concept, is_held_out_pair, load_concepts, plain_name
from ar_omni.training.world.sentences import expand, grammar, is_held_out, sentences
from ar_omni.training.world.tasks import SHARES, World, worn
from ar_omni.training.world.voices import Utterance, load_shard, save_shard, written_word_ends

NONE = np.zeros(0, np.int64)
CONCEPTS = [Concept(f"thing {index}", "0", "objects", (), "is a thing", index) for index in range(60)]


@pytest.fixture
def world():
    """Two lines spoken, everything drawn in four codes."""
    speech = {"hello": np.arange(6), "here is a thing 1.": np.arange(12)}
    pictures = np.zeros((len(CONCEPTS), len(STYLES), 4), np.int16)
    return World(tuple(CONCEPTS), pictures, speech, {"hello": [6]}, (("good morning", np.arange(9)),))


@pytest.fixture
def concepts():
    """Everything that nano knows."""
    return load_concepts(Path(__file__).parents[2] / "configs/nano/concepts.json")


def test_sentences_follow_from_the_seed_and_never_cross_the_split():
    trained = list(itertools.islice(sentences(3), 300))
    held_out = list(itertools.islice(sentences(3, held_out=True), 20))
    assert trained == list(itertools.islice(sentences(3), 300))
    assert not set(trained) & set(held_out)
    assert all(is_held_out(text) for text in held_out) and not any(map(is_held_out, trained))
    assert is_held_out(held_out[0].lower()), "the split goes by words, not by spelling"


def test_every_slot_of_the_grammar_expands():
    for slot, options in grammar().items():
        assert options, slot
        assert "{" not in expand(slot, random.Random(1))


def test_at_most_one_style_of_a_concept_is_held_out():
    names = [f"thing {index}" for index in range(400)]
    held_out = [[is_held_out_pair(name, style) for style in STYLES] for name in names]
    assert max(map(sum, held_out)) == 1
    assert 0.02 < np.mean(held_out) < 0.09


def test_requests_to_evaluate_with_are_neither_recorded_nor_asked_in_training():
    rng, held_out = random.Random(0), {request for request, _ in held_out_requests(CONCEPTS)}
    assert len(held_out) == len(CONCEPTS)
    assert not held_out & set(spoken_lines(CONCEPTS))
    assert not held_out & {turn.said for _ in range(3000) for turn in conversation(CONCEPTS, rng)}


def test_conversations_draw_and_show_no_pair_that_is_held_out():
    rng, kinds = random.Random(0), set()
    for _ in range(3000):
        for exchange in conversation(CONCEPTS, rng):
            kinds.add(exchange.kind)
            for index, style in filter(None, (exchange.shown, exchange.drawn)):
                assert not is_held_out_pair(CONCEPTS[index].name, style), exchange
    assert kinds == set(KINDS) - {"wonder", "stranger", "aside", "read"}  # which are learned, and not asked


def test_what_is_learned_asks_what_a_picture_shows_also_after_other_questions(world):
    rng = random.Random(0)
    talks = [world.conversation(rng, 1.0, {"chat": 1})[0] for _ in range(600)]
    asked = [[message["content"][0]["type"] == "image" for message in talk[::2]] for talk in talks]
    assert 0.18 < np.mean([turns[0] for turns in asked]) < 0.3
    assert 0.13 < np.mean([turn for turns in asked for turn in turns[1:]]) < 0.27
    assert 0.75 < np.mean([len(turns) > 1 for turns in asked]) < 0.85


def test_what_refers_back_follows_from_the_turn_before():
    rng = random.Random(1)
    for _ in range(2000):
        for before, after in itertools.pairwise(conversation(CONCEPTS, rng)):
            if after.kind in ("restyle", "another"):
                assert after.drawn[0] == before.drawn[0] and after.drawn[1] != before.drawn[1]
                assert CONCEPTS[after.drawn[0]].phrase in after.answer and after.drawn[1] in after.answer
            if after.kind == "recall":
                assert before.said in after.answer


def test_small_talk_has_sixty_intents_in_several_phrasings():
    assert len(small_talk()) >= 60
    phrasings = [said for ways, _ in small_talk() for said in ways]
    assert len(set(phrasings)) == len(phrasings) >= 2 * len(small_talk())


def test_what_things_are_called_is_no_other_name(concepts):
    names = {concept.name for concept in concepts}
    assert set(aliases()) <= names
    called = [said for ways in aliases().values() for said in ways]
    assert len(set(called)) == len(called)
    assert not {said.split(" ", 1)[-1] for said in called} & names


def test_unknown_words_are_in_nothing_that_is_known(concepts):
    texts = [text for concept in concepts for text in (concept.name, *concept.tags, concept.gloss)]
    known = set(
        re.findall(r"[a-z']+", " ".join([*texts, *(said for ways in aliases().values() for said in ways)]))
    )
    assert len(set(unknown_words())) == len(unknown_words()) > 150
    assert not known & set(unknown_words())


def test_unknown_things_are_refused_typed_and_spoken(concepts):
    rng, recorded = random.Random(0), set(spoken_lines(concepts))
    asked = [KINDS["unknown"](concepts, rng, []) for _ in range(300)]
    assert {exchange.answer for exchange in asked} == {SORRY}
    assert {exchange.drawn for exchange in asked} == {None}
    assert 50 < sum(exchange.said in recorded for exchange in asked) < 150
    assert sum(exchange.said.split()[-1].strip("?") in unknown_words() for exchange in asked) > 60


def test_things_are_asked_for_by_what_people_call_them(concepts):
    rng = random.Random(0)
    car = [concept for concept in concepts if concept.name == "automobile"]
    shown = [KINDS["show"](car, rng, []) for _ in range(200)]
    assert {each.answer.split(" in ")[0].rstrip(".") for each in shown} == {"here is an automobile"}
    assert {
        name for name in ("a car", "a red car", "an automobile") for each in shown if name in each.said
    } == {
        "a car",
        "a red car",
        "an automobile",
    }


def test_names_are_words_that_can_be_said():
    labels = {
        "flag: C\u00f4te d\u2019Ivoire": "flag of cote d'ivoire",
        "keycap: 10": "number ten",
        "man: bald": "man without hair",
        "family: man, woman, boy": "family with man woman boy",
        "1st place medal": "first place medal",
    }
    assert {label: plain_name(label) for label in labels} == labels


def test_training_renders_a_world_of_codes(world):
    rng = random.Random(0)
    counts = Counter()
    for _ in range(300):
        messages, task = world.conversation(rng, 0.5)
        counts[task] += 1
        parts = [part for message in messages for part in message["content"]]
        assert all(len(part["codes"]) == 4 for part in parts if part["type"] == "image")
        assert messages[-1]["role"] == "assistant"
    assert set(counts) == set(SHARES)


def test_readings_reach_the_length_of_long_sentences_and_know_their_words(world):
    rng = random.Random(0)
    seen = [world.conversation(rng, 1.0, {"speak": 1}) for _ in range(400)]
    texts = [messages[0]["content"][0]["text"] for messages, _ in seen]
    assert max(len(text.split()) for text in texts) >= 6
    for (messages, _), text in zip(seen, texts, strict=True):
        ends = messages[1]["content"][0]["word_ends"]
        assert len(ends) == (len(text.split()) if "thing" not in text else 0), text


def test_users_speak_with_the_voices_that_have_said_their_words(world):
    world.speech["good morning"] = np.arange(6)
    rng = random.Random(0)
    lengths = Counter(len(world.request("good morning", rng)[0]["codes"]) for _ in range(200))
    assert set(lengths) == {6, 9} and 60 < lengths[9] < 140
    assert all(len(world.audio("good morning", rng)[0]["codes"]) == 6 for _ in range(20)), "a reply"
    assert world.request("good evening", rng) == []


def test_a_crowd_says_each_text_in_its_own_way(monkeypatch):
    class Speaker:
        def say(self, text):
            return Utterance(text, np.ones(24_000, np.int16), ("^", "a", "$"), np.array([0, 1, 24_000]))

    monkeypatch.setattr(crowd, "_KINDS", ((Speaker,), (Speaker, Speaker)))
    texts = [f"line {number}" for number in range(40)]
    first, again = ([crowd.Crowd().say(text) for text in texts] for _ in range(2))
    lengths = [len(said.samples) for said in first]
    assert lengths == [len(said.samples) for said in again]
    assert (
        len(set(lengths)) > 30 and 24_000 / 1.3 < min(lengths) < 21_000 < 27_000 < max(lengths) < 24_000 * 1.3
    )
    assert all(said.phonemes == () and len(said.ends) == 0 for said in first)


def test_a_worn_recording_keeps_most_of_its_codes():
    codes = list(range(1000))
    heard = worn({"type": "audio", "codes": codes, "word_ends": [0, 500, 1000]}, random.Random(0))
    assert 900 < len(set(heard["codes"])) < 1000 and set(heard["codes"]) <= set(codes)
    assert heard["word_ends"][0] == 0 and heard["word_ends"][-1] == len(heard["codes"])
    assert abs(heard["codes"][heard["word_ends"][1]] - 500) <= 2, "a word still ends where it ended"


def test_a_code_is_labelled_with_the_sound_in_its_middle(tmp_path):
    utterance = Utterance(
        "ab", np.zeros(2400, np.int16), ("^", "a", "ː", "b", "$"), np.array([300, 900, 1300, 2000, 2400])
    )
    labels = phoneme_labels(utterance, phoneme_inventory([utterance]), 600)
    assert labels.tolist() == [1, 1, 2, 2]
    save_shard(
        tmp_path / "0.npz", [utterance, utterance, unlabelled := Utterance("ab", utterance.samples, (), NONE)]
    )
    assert set(phoneme_labels(unlabelled, {}, 600).tolist()) == {UNKNOWN}
    loaded = load_shard(tmp_path / "0.npz")[1]
    assert loaded.phonemes == utterance.phonemes and (loaded.ends == utterance.ends).all()
    assert load_shard(tmp_path / "0.npz")[2].phonemes == ()


def test_a_written_word_that_is_spoken_as_two_ends_where_the_second_does():
    sounds = ("^", "a", " ", "b", " ", "c", " ", "d", "$")
    in_3d = Utterance("in 3d style", np.zeros(900, np.int16), sounds, np.arange(100, 1000, 100))
    assert written_word_ends(in_3d) == [300, 700, 900]
    merged = Utterance("in 3d style now", in_3d.samples, sounds, in_3d.ends)
    assert written_word_ends(merged) == [], "words that run together are not told apart"


def test_few_drawings_have_another_style_than_the_words_say_and_none_a_held_out_one(world):
    rng, told, other = random.Random(0), 0, 0
    world.pictures[:] = np.arange(len(STYLES))[None, :, None]
    for _ in range(2000):
        messages, _ = world.conversation(rng, 0.5, {"draw": 1.0})
        prompt = messages[0]["content"][0]["text"]
        style = STYLES[messages[1]["content"][0]["codes"][0]]
        asked = next((name for name in STYLES if f"in {name} style" in prompt), None)
        name = prompt.split(" in ")[0].removeprefix("a ")
        assert not is_held_out_pair(name, style)
        if asked:
            assert not is_held_out_pair(name, asked)
            told, other = told + 1, other + (asked != style)
    assert 0.03 < other / told < 0.1
