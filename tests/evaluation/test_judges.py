"""The judges: known inputs give known figures."""

import sys
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from ar_omni.errors import DependencyError, import_extra
from ar_omni.evaluation.figures import ratio
from ar_omni.evaluation.judges import (
    Rater,
    Recogniser,
    mentions,
    named,
    nearest,
    normalise,
    psnr,
    whole_speech,
    word_errors,
    words_in_order,
)
from ar_omni.evaluation.voice import Reader
from ar_omni.media import Audio
from tests.evaluation.fakes import LONG, picture


def test_nearest_neighbour_is_the_smallest_squared_error(held_out):
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (96, 96, 3), np.uint8))
    noisy = Image.blend(picture("pear", "3d"), noise, 0.3)
    assert nearest(noisy, held_out.gallery) == ("pear", "3d")
    query = np.asarray(noisy.resize((32, 32), Image.Resampling.BOX), np.float32).reshape(-1) / 255
    brute = np.square(held_out.gallery.pixels - query).sum(axis=1).argmin()
    assert held_out.gallery.items[brute] == ("pear", "3d")


def test_psnr_of_a_known_error():
    grey, lighter = Image.new("RGB", (8, 8), (100,) * 3), Image.new("RGB", (8, 8), (151,) * 3)
    assert psnr(lighter, grey) == pytest.approx(20 * np.log10(255 / 51), abs=1e-3)
    assert psnr(grey, grey) == 99


def test_ratio_and_its_interval():
    figure = ratio([1, 0, 3], [4, 4, 2])
    assert figure.value == pytest.approx(40)
    assert figure.low < 40 < figure.high
    assert figure == ratio([1, 0, 3], [4, 4, 2])
    assert ratio([1.0, 3.0], unit="s").value == 2
    many = np.random.default_rng(1).random(400) < 0.3
    figure = ratio(many)
    half_width = 1.96 * np.sqrt(many.mean() * (1 - many.mean()) / 400) * 100
    assert (figure.high - figure.low) / 2 == pytest.approx(half_width, rel=0.15)


def test_words_are_compared_after_normalising():
    assert normalise("Mr. O'Brien's COLOUR, twenty-five!") == normalise("mister o'brien's color 25")
    assert word_errors("Put the box down.", "put a box") == (2, 4)
    assert word_errors("Um.", "red box") == (2, 0)
    assert mentions("A Red-Apple, in 3D style", "red apple")
    assert not mentions("a pearl", "pear")


def test_the_longest_name_is_what_a_description_speaks_of():
    names = ["cat", "cat face", "red apple", "face"]
    assert named("A cat face in 3d style, from animals.", names) == "cat face"
    assert named("a cat, in flat style", names) == "cat"
    assert named("a caterpillar", names) is None


def test_words_in_order_forgive_what_is_left_out_but_not_the_order():
    assert words_in_order("a wide body of water", "a body of water") == pytest.approx(4 / 5)
    assert words_in_order("a wide body", "body wide a") == pytest.approx(1 / 3)
    assert words_in_order("one", "") == 0


def test_whole_speech_is_told_from_a_loop_and_from_an_early_stop():
    text = LONG[0]
    assert whole_speech(text, text, 1.1)
    assert whole_speech(text, text.replace("friends", "trends"), 1.1)
    assert whole_speech(text, text.replace("our friends", "hour fen"), 1.1), "misheard, but said"
    assert not whole_speech(text, text.removesuffix(" friends"), 1.0)
    assert not whole_speech(text, f"{text} with our friends", 1.1)
    assert not whole_speech(text, text, 0.5)
    assert not whole_speech(text, text, 1.9)
    assert not whole_speech(text, " ".join(text.split()[:12]), 0.9)
    assert not whole_speech(text, f"{text} {text}", 1.5)


def test_a_missing_extra_is_named():
    with pytest.raises(DependencyError, match=r"pip install 'ar-omni\[eval\]'"):
        import_extra("no_such_module_anywhere", "eval")


@pytest.mark.slow
def test_the_voice_and_the_ear_understand_each_other(tmp_path):
    text = "Please open the window."
    read = Reader(tmp_path)
    audio = read(text)
    assert word_errors(text, Recogniser()(audio)) == (0, 4)
    assert len(list(tmp_path.iterdir())) == 1
    assert read(text) == audio


def test_the_rater_gives_what_its_package_gives(monkeypatch, tone):
    """The package's other score needs librosa, which is left out: a blank spectrogram takes its place."""
    monkeypatch.setitem(sys.modules, "librosa", ModuleType("librosa"))
    requests = ModuleType("requests")
    requests.session = None
    monkeypatch.setitem(sys.modules, "requests", requests)
    from speechmos import dnsmos

    monkeypatch.setattr(dnsmos.DNSMOS, "audio_melspec", lambda self, audio: np.zeros((900, 120), np.float32))
    noise = np.random.default_rng(0).normal(0, 0.05, 16_000 * 11).astype(np.float32)
    for audio in (tone.resample(16_000), Audio(noise, 16_000)):
        expected = dnsmos.run(np.clip(audio.samples, -1, 1), 16_000)["ovrl_mos"]
        assert Rater()(audio) == pytest.approx(float(expected), abs=1e-4)
