"""What people put in -> messages, and what they wish for -> arguments."""

import base64

import numpy as np
import pytest
from PIL import Image

from ar_omni.app.messages import BARE_PICTURE, MARGIN_S, RATE, SIDE, Wishes, heard, reworded, spoken, written
from ar_omni.app.turns import Heard
from ar_omni.errors import InputError
from ar_omni.media import Audio

WISHES = Wishes(["Text", "Picture", "Speech"])


def test_wishes_are_arguments():
    assert WISHES.asked() == {"outputs": ("text", "image", "speech"), "seed": None, "previews": True}
    shaped = Wishes(["Speech"], "3d", 0.5, 2.0, 7).asked()
    assert shaped == {
        "outputs": ("speech",), "seed": 7, "previews": True, "temperature": 0.5, "guidance_scale": 2.0
    }  # fmt: skip


def test_something_must_be_wished_for():
    with pytest.raises(InputError, match="at least one"):
        Wishes([]).asked()


@pytest.mark.parametrize(
    ("outputs", "style", "expected"),
    [
        (["Picture"], "3d", "a cat in 3d style"),
        (["Picture"], "any style", "a cat"),
        (["Text"], "3d", "a cat"),
    ],
)
def test_the_style_is_said_in_the_message(outputs, style, expected):
    assert written("a cat ", [], Wishes(outputs, style)) == [{"type": "text", "text": expected}]
    assert Wishes(outputs, style).styled("a cat in flat style") == "a cat in flat style"


def test_files_are_read_and_bounded(tmp_path):
    Image.new("RGB", (3000, 1500), "red").save(tmp_path / "wide.png")
    Audio(np.sin(np.arange(48_000) / 9), 48_000).save(tmp_path / "tone.wav")
    picture, words = written("", [str(tmp_path / "wide.png")], WISHES)
    assert picture["image"].size == (SIDE, SIDE // 2) and words["text"] == BARE_PICTURE
    picture, recording, words = written(
        "hi", [str(tmp_path / name) for name in ("wide.png", "tone.wav")], WISHES
    )
    assert recording["audio"].sample_rate == RATE and words["text"] == "hi"


def test_silence_around_speech_is_cut(tmp_path):
    tone, silence = np.sin(np.arange(24_000) / 9), np.zeros(12_000)
    Audio(np.concatenate([silence, tone, silence, tone, silence]), 24_000).save(tmp_path / "a.wav")
    (recording,) = spoken(base64.b64encode((tmp_path / "a.wav").read_bytes()).decode())
    assert recording["audio"].duration == pytest.approx(2.5 + 2 * MARGIN_S, abs=0.01)


def test_what_cannot_be_sent(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match="expected a message"):
        written(" ", [], WISHES)
    with pytest.raises(InputError, match="expected a png"):
        written("", [str(tmp_path / "notes.txt")], WISHES)
    for wav in ("!", None, base64.b64encode(b"no sound").decode()):
        with pytest.raises(InputError, match="expected a"):
            spoken(wav)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"turn": "a", "samples": 3}, Heard("a", 3)),
        ({"turn": "a", "samples": -3}, None),
        ({"turn": 1, "samples": 3}, None),
        ({"samples": 3}, None),
        ("a", None),
        (None, None),
    ],
)
def test_what_was_heard(value, expected):
    assert heard(value) == expected


def test_other_words_for_a_message():
    parts = [{"type": "image", "image": None}, {"type": "text", "text": "a cat"}]
    assert reworded(parts, " a dog ") == [parts[0], {"type": "text", "text": "a dog"}]
    with pytest.raises(InputError, match="some text"):
        reworded(parts, " ")
