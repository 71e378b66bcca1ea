"""The judges and the suites: known inputs give known figures, and fake models show what is counted."""

import dataclasses
import json
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from ar_omni.decoding import Options
from ar_omni.errors import DependencyError, InputError, import_extra
from ar_omni.evaluation import report as reports
from ar_omni.evaluation.figures import ratio
from ar_omni.evaluation.heldout import HeldOut, Pair, Reader, Request, save_held_out
from ar_omni.evaluation.judges import Recogniser, mentions, nearest, normalise, psnr, word_errors
from ar_omni.evaluation.run import evaluate
from ar_omni.evaluation.suites import SUITES, Bench
from ar_omni.media import Audio

COLOURS = {"red apple": (200, 20, 30), "pear": (120, 200, 40), "sea": (20, 60, 220)}
STYLES = {"flat": 1.0, "3d": 0.6}
SENTENCES = ["put the small box down", "how are you today"]


def picture(name: str, style: str) -> Image.Image:
    image = Image.new("RGB", (96, 96), "white")
    image.paste(tuple(int(v * STYLES[style]) for v in COLOURS[name]), (20, 20, 76, 76))
    return image


@pytest.fixture
def held_out(tmp_path) -> HeldOut:
    pairs = [(Pair("red apple", "3d", "a red apple in 3d style"), picture("red apple", "3d"))]
    pairs.append((Pair("sea", "flat", "the sea in flat style", seen=True), picture("sea", "flat")))
    requests = [Request("show me a pear", "pear"), Request("show me the sea", "sea")]
    gallery = [(name, style, picture(name, style)) for name in COLOURS for style in STYLES]
    save_held_out(tmp_path, SENTENCES, pairs, requests, gallery, picture_size=96, gallery_tile=32)
    return HeldOut(tmp_path)


def say(text: str) -> Audio:
    """A "recording" that carries its text, for the fake voice, ear and model."""
    return Audio(np.frombuffer(text.encode(), np.uint8).astype(np.float32) / 256, 24_000)


def hear(audio: Audio) -> str:
    return bytes((audio.samples * 256).astype(np.uint8)).decode()


class Perfect:
    """A model that is always right, in the shape of `AROmni`."""

    presets: ClassVar = {"speak": Options()}
    processor = SimpleNamespace(
        speech_tokenizer=SimpleNamespace(
            codebook_size=256,
            encode=lambda audio: np.frombuffer(hear(audio).encode(), np.uint8),
            decode=lambda codes: say(bytes(codes).decode()),
        ),
        image_tokenizer=SimpleNamespace(encode=lambda image: image, decode=lambda image: image),
    )

    def generate(self, prompt, outputs, task=None, seed=0):
        stats = SimpleNamespace(audio_s=2.0, rtf=0.5, first_chunk_s=0.25, stop_reason="end")
        reply = SimpleNamespace(text=None, transcript=None, image=None, audio=None, stats=stats)
        if task == "speak":
            reply.audio = say(prompt)
        elif task == "draw":
            name = next(name for name in COLOURS if name in prompt)
            reply.image = picture(name, next(style for style in STYLES if style in prompt))
        else:
            reply.transcript = hear(prompt[0]["content"][0]["audio"])
            name = next(name for name in COLOURS if name in reply.transcript)
            reply.text = f"here is the {name}"
            reply.image, reply.audio = picture(name, "flat"), say(reply.text)
        return reply

    def transcribe(self, audio):
        return hear(audio)

    def describe(self, image):
        return {
            image.getpixel((48, 48)): f"a {name}, in {style} style"
            for name in COLOURS
            for style in STYLES
            for image in [picture(name, style)]
        }[image.getpixel((48, 48))]


class Wrong(Perfect):
    """A model that is always wrong, and never finishes."""

    def generate(self, prompt, outputs, task=None, seed=0):
        reply = super().generate(prompt, outputs, task, seed)
        reply.stats = dataclasses.make_dataclass("Stats", reply.stats.__dict__)(
            *reply.stats.__dict__.values()
        )
        reply.stats.stop_reason = "length"
        if reply.audio is not None:
            reply.audio = None if task is None else say("nothing at all like it my friend")
        reply.transcript = reply.transcript and "no"
        reply.image = reply.image and picture("pear" if "sea" in str(reply.text or prompt) else "sea", "flat")
        return reply

    def transcribe(self, audio):
        return "no"

    def describe(self, image):
        return "a pearl"


def figures(omni, suite: str, held_out: HeldOut) -> dict[str, float]:
    found, rows = SUITES[suite](Bench(omni, held_out, hear, say, progress=False))
    json.dumps(rows)
    return {title: figure.value for title, figure in found.items()}


def test_a_perfect_model_gets_perfect_figures(held_out):
    assert figures(Perfect(), "tts", held_out) == {
        "WER": 0,
        "speech that ended by itself": 100,
        "first-chunk latency": 0.25,
        "real-time factor": 0.5,
    }
    assert figures(Perfect(), "asr", held_out) == {"WER": 0}
    assert set(figures(Perfect(), "draw", held_out).values()) == {100}
    assert len(figures(Perfect(), "draw", held_out)) == 4
    assert set(figures(Perfect(), "describe", held_out).values()) == {100}
    assert list(figures(Perfect(), "spoken", held_out).values()) == [0, 100, 100, 0]
    codec = figures(Perfect(), "codec", held_out)
    assert codec["WER lost in the speech codec"] == 0
    assert codec["pictures nearest to themselves"] == 100
    letters = {letter for sentence in SENTENCES for letter in sentence}
    assert codec["speech codes in use"] == pytest.approx(100 * len(letters) / 256)
    assert codec["PSNR of pictures"] == 99


def test_a_wrong_model_gets_no_points(held_out):
    assert figures(Wrong(), "tts", held_out)["WER"] >= 100
    assert figures(Wrong(), "tts", held_out)["speech that ended by itself"] == 0
    assert figures(Wrong(), "asr", held_out)["WER"] == 100
    assert figures(Wrong(), "draw", held_out)["right concept, never trained on"] == 0
    assert set(figures(Wrong(), "describe", held_out).values()) == {0}
    assert list(figures(Wrong(), "spoken", held_out).values()) == [100, 0, 0, 100]


def test_limit_and_empty_sets(held_out):
    bench = Bench(Perfect(), held_out, hear, say, limit=1, progress=False)
    assert len(SUITES["asr"](bench)[1]) == 1
    held_out.sentences.clear()
    with pytest.raises(InputError, match="items for the suite"):
        figures(Perfect(), "asr", held_out)


def test_held_out_set_is_read_as_it_was_written(held_out):
    assert held_out.sentences == SENTENCES
    assert [pair.name for pair in held_out.pairs] == ["red apple", "sea"]
    assert held_out.pairs[1].seen
    assert held_out.requests[0] == Request("show me a pear", "pear")
    for pair, stored in zip(held_out.pairs, held_out.pictures, strict=True):
        assert np.array_equal(stored, picture(pair.name, pair.style))
    assert held_out.gallery.pixels.shape == (6, 32 * 32 * 3)
    assert held_out.gallery.items[3] == ("pear", "3d")


def test_a_missing_set_is_named(tmp_path):
    with pytest.raises(InputError, match="held-out set"):
        HeldOut(tmp_path)


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


def test_report_lists_every_figure(held_out, tmp_path):
    report = evaluate(Perfect(), ("draw",), held_out=held_out, progress=False)
    reports.write(report, tmp_path / "report.json")
    assert reports.read(tmp_path / "report.json") == report
    assert report["presets"]["speak"]["max_new_tokens"] == Options().max_new_tokens
    assert "right concept, never trained on" in reports.plain(report)
    assert reports.markdown(report).count("\n") == 5
    with pytest.raises(InputError, match="dance"):
        evaluate(Perfect(), ("dance",), held_out=held_out)


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
