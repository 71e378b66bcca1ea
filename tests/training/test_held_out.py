"""The evaluation set of the package: what its recipe picks was never trained on."""

import itertools
import random
import runpy
from types import SimpleNamespace

import pytest

from ar_omni.evaluation.heldout import HeldOut
from ar_omni.training.world.dialogues import Exchange, is_held_out_conversation
from ar_omni.training.world.pictures import STYLES, Concept, is_held_out_pair
from ar_omni.training.world.sentences import is_held_out, joined

CONCEPTS = [
    Concept(f"thing {letter}", "1F34E", "objects", (), "is one of many things") for letter in "abcdefgh"
]


@pytest.fixture(scope="module")
def recipe(request) -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(request.config.rootpath / "train" / "held_out.py")))


def test_long_sentences_are_two_held_out_statements():
    for text in itertools.islice(joined(seed=0, held_out=True), 20):
        assert 19 <= len(text.split()) <= 21
        assert text.count(".") == 1
        ends = [i for i in range(len(text)) if text.startswith(", and ", i)]
        halves = [(f"{text[:i]}.", text[i + len(", and ") :]) for i in ends]
        assert any(is_held_out(first) and is_held_out(second) for first, second in halves), text


def test_scripts_are_held_out_conversations_of_several_turns(recipe):
    scripts = list(itertools.islice(recipe.scripts(CONCEPTS, random.Random(0)), 30))
    for script in scripts:
        assert len(script) > 1
        assert is_held_out_conversation([Exchange(turn.said, turn.answer, turn.kind) for turn in script])
    assert {turn.spoken for script in scripts for turn in script} == {True, False}


def test_a_style_counts_where_the_words_tell_it(recipe):
    plain = Exchange("show me a thing c", "here is a thing c.", "show", drawn=(2, "flat"))
    styled = Exchange("now in 3d style", "here is a thing c in 3d style.", "restyle", drawn=(2, "3d"))
    assert recipe.turn(CONCEPTS, plain, True).drawn == ("thing c", None)
    assert recipe.turn(CONCEPTS, styled, False).drawn == ("thing c", "3d")
    shown = Exchange("what is this?", "this is a thing d.", "name", shown=(3, "classic"))
    assert recipe.turn(CONCEPTS, shown, False).shown == ("thing d", "classic")


def test_the_set_in_the_package_keeps_to_the_rules():
    held_out = HeldOut()
    for pair in held_out.pairs:
        assert pair.seen is not is_held_out_pair(pair.name, pair.style)
        assert pair.style in STYLES and pair.prompt.endswith(f"in {pair.style} style") and pair.group
    assert all(is_held_out(text) and 5 <= len(text.split()) <= 12 for text in held_out.sentences)
    assert len(held_out.scripts) == 100
    assert {(pair.name, pair.style) for pair in held_out.pairs} <= set(held_out.pictures)
    assert set(held_out.clips) == {"slt", "rms", "awb", "espeak", "person"}
    for voice, clips in held_out.clips.items():
        assert len(clips) >= 20
        assert voice == "person" or all(is_held_out(clip.text) for clip in clips)
    size = sum(file.stat().st_size for file in held_out.folder.rglob("*") if file.is_file())
    assert size < 6_000_000
