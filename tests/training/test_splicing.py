"""Speech joined from recordings: the right words, in the longest runs that there are."""

import random

import numpy as np
import pytest

from ar_omni.training.world.codes import Codes
from ar_omni.training.world.splicing import Splicer, plain_words

SPEECH = {
    "show me a cat": np.arange(0, 8),
    "draw a red apple.": np.arange(100, 108),
    "unknown places": np.arange(200, 208),
}
ENDS = {"show me a cat": [2, 4, 5, 8], "draw a red apple.": [3, 4, 6, 8]}


@pytest.fixture
def splicer():
    return Splicer(SPEECH, ENDS)


def test_a_text_is_said_in_the_longest_runs_that_were_recorded(splicer):
    codes = splicer.say("show me a red apple", random.Random(0))
    assert codes.tolist() == [0, 1, 2, 3, 4, 104, 105, 106, 107]


def test_a_recorded_text_is_what_was_recorded(splicer):
    assert splicer.say("Show me a cat".lower(), random.Random(0)).tolist() == SPEECH["show me a cat"].tolist()


def test_marks_around_a_word_do_not_matter(splicer):
    assert plain_words("what, a 'cat'?") == ("what", "a", "'cat'")
    assert splicer.say("red, apple?", random.Random(0)).tolist() == [104, 105, 106, 107]


def test_a_word_that_nobody_said_gives_none_and_texts_without_ends_are_not_cut(splicer):
    assert splicer.say("show me a dog", random.Random(0)) is None
    assert splicer.say("places", random.Random(0)) is None


def test_a_cut_counts_its_ends_from_its_own_start(splicer):
    codes, ends = splicer.cut("draw a red apple.", 1, 3)
    assert codes.tolist() == [103, 104, 105] and ends == [1, 3]


def test_codes_are_saved_and_loaded_as_they_were_and_grow(tmp_path):
    codes = Codes(pictures=np.zeros((2, 3, 4), np.int16))
    for text, row in SPEECH.items():
        codes.add(text, "joe", row.astype(np.int16), ENDS.get(text, []))
    codes.save(tmp_path / "codes.npz")
    loaded = Codes.load(tmp_path / "codes.npz")
    assert loaded.spoken() == {(text, "joe") for text in SPEECH}
    assert loaded.word_ends == codes.word_ends and (loaded.pictures == codes.pictures).all()
    assert [row.tolist() for row in loaded.speech] == [row.tolist() for row in SPEECH.values()]
    loaded.add("hello", "slt", np.arange(3, dtype=np.int16), [])
    loaded.save(tmp_path / "codes.npz")
    assert ("hello", "slt") in Codes.load(tmp_path / "codes.npz").spoken()
