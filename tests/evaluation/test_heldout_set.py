"""The held-out set is read as it was written."""

import numpy as np
import pytest

from ar_omni.errors import InputError
from ar_omni.evaluation.heldout import Clip, HeldOut, Request, save_clips, save_held_out
from ar_omni.evaluation.judges import (
    nearest,
)
from tests.evaluation.fakes import QUESTIONS, SCRIPTS, SENTENCES, picture


def test_held_out_set_is_read_as_it_was_written(held_out):
    assert held_out.sentences == SENTENCES
    assert [pair.name for pair in held_out.pairs] == ["red apple", "sea"]
    assert held_out.pairs[1].seen
    assert held_out.requests[0] == Request("show me a pear", "pear")
    assert held_out.scripts == SCRIPTS
    assert held_out.questions == QUESTIONS
    assert list(held_out.pictures) == [("red apple", "3d"), ("sea", "flat"), ("pear", "3d")]
    for key, stored in held_out.pictures.items():
        assert np.array_equal(stored, picture(*key))
    assert held_out.gallery.pixels.shape == (6, 32 * 32 * 3)
    assert held_out.gallery.items[3] == ("pear", "3d")
    for item in held_out.gallery.items:
        assert nearest(picture(*item), held_out.gallery) == item


def test_clips_are_read_as_they_were_written(tmp_path, tone):
    save_held_out(tmp_path, {("sea", "flat"): picture("sea", "flat")})
    save_clips(tmp_path, [Clip(voice, "hello there", tone) for voice in ("slt", "slt", "person")])
    clips = HeldOut(tmp_path).clips
    assert {voice: len(own) for voice, own in clips.items()} == {"slt": 2, "person": 1}
    assert clips["slt"][1].text == "hello there"
    stored = clips["person"][0].audio
    assert stored.sample_rate == tone.sample_rate
    assert np.corrcoef(stored.samples[: len(tone.samples)], tone.samples)[0, 1] > 0.98


def test_a_missing_set_is_named(tmp_path):
    with pytest.raises(InputError, match="held-out set"):
        HeldOut(tmp_path)
