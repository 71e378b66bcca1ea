"""The little held-out set that the tests of this folder share."""

import itertools

import pytest

from ar_omni.evaluation.heldout import Clip, HeldOut, Pair, Request, save_held_out
from tests.evaluation.fakes import (
    COLOURS,
    LONG,
    QUESTIONS,
    SCRIPTS,
    SENTENCES,
    STYLES,
    picture,
    say,
)


@pytest.fixture
def held_out(tmp_path) -> HeldOut:
    save_held_out(
        tmp_path / "set",
        {key: picture(*key) for key in itertools.product(COLOURS, STYLES)},
        sentences=SENTENCES,
        long_sentences=LONG,
        pairs=[
            Pair("red apple", "3d", "a red apple in 3d style", group="food and drink"),
            Pair("sea", "flat", "the sea in flat style", seen=True, group="travel and places"),
        ],
        requests=[Request("show me a pear", "pear"), Request("show me the sea", "sea")],
        scripts=SCRIPTS,
        questions=QUESTIONS,
        more_pictures=[("pear", "3d")],
    )
    found = HeldOut(tmp_path / "set")
    found.clips = {
        voice: [Clip(voice, text, say(text)) for text in SENTENCES] for voice in ("slt", "awb", "person")
    }
    return found
