"""The judges and the suites: known inputs give known figures, and fake models show what is counted."""

import itertools
import json
import sys
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from ar_omni.decoding import Options
from ar_omni.errors import DependencyError, InputError, import_extra
from ar_omni.evaluation import report as reports
from ar_omni.evaluation.bench import Bench
from ar_omni.evaluation.conversations import judge
from ar_omni.evaluation.figures import Figure, ratio
from ar_omni.evaluation.heldout import Clip, HeldOut, Pair, Request, Turn, save_clips, save_held_out
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
from ar_omni.evaluation.page import write_page
from ar_omni.evaluation.run import evaluate
from ar_omni.evaluation.suites import SUITES
from ar_omni.evaluation.targets import TARGETS, Target
from ar_omni.evaluation.voice import Reader
from ar_omni.media import Audio

COLOURS = {"red apple": (200, 20, 30), "pear": (120, 200, 40), "sea": (20, 60, 220)}
STYLES = {"flat": 1.0, "3d": 0.6}
SENTENCES = ["put the small box down", "how are you today"]
LONG = ["we went to the sea, and then we walked home along the road to eat a pear with our friends"]
SEA = "the sea is a very wide body of salt water with waves"
SCRIPTS = [
    [
        Turn("show me a pear", True, "Here is a pear.", "show", drawn=("pear", None)),
        Turn("now in 3d style", False, "here is a pear in 3d style.", "restyle", drawn=("pear", "3d")),
    ],
    [
        Turn("what is this?", False, "this is the sea.", "name", shown=("sea", "flat")),
        Turn("explain the sea", True, SEA, "explain", drawn=("sea", None)),
    ],
]


def picture(name: str, style: str) -> Image.Image:
    image = Image.new("RGB", (96, 96), "white")
    image.paste(tuple(int(v * STYLES[style]) for v in COLOURS[name]), (20, 20, 76, 76))
    return image


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
        more_pictures=[("pear", "3d")],
    )
    found = HeldOut(tmp_path / "set")
    found.clips = {
        voice: [Clip(voice, text, say(text)) for text in SENTENCES] for voice in ("slt", "awb", "person")
    }
    return found


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
        image_tokenizer=SimpleNamespace(
            codebook_size=8,
            encode=lambda image: np.asarray(image),
            decode=lambda codes: Image.fromarray(codes),
        ),
    )

    def generate(self, prompt, outputs, task=None, seed=0):
        if task == "speak":
            return answer(audio=say(prompt))
        if task == "draw":
            name = next(name for name in COLOURS if name in prompt)
            return answer(image=picture(name, next(style for style in STYLES if style in prompt)))
        heard = hear(prompt[0]["content"][0]["audio"])
        name = next(name for name in COLOURS if name in heard)
        text = f"here is the {name}"
        return answer(transcript=heard, text=text, image=picture(name, "flat"), audio=say(text))

    def chat(self):
        turns = {turn.said: turn for script in SCRIPTS for turn in script}

        def send(content, outputs, seed):
            heard = hear(content[-1]) if isinstance(content[-1], Audio) else None
            turn = turns[heard or content[-1]]
            assert [image.getpixel((48, 48)) for image in content[:-1]] == [
                picture(*turn.shown).getpixel((48, 48)) for _ in content[:-1]
            ]
            assert len(content) == 1 + (turn.shown is not None)
            drawn = turn.drawn and picture(turn.drawn[0], turn.drawn[1] or "flat")
            return answer(transcript=heard, text=turn.answer.upper(), image=drawn)

        return SimpleNamespace(send=send)

    def transcribe(self, audio):
        return hear(audio)

    def describe(self, image):
        groups = {"red apple": "food and drink", "sea": "travel and places", "pear": "food and drink"}
        return {
            picture(name, style).getpixel((48, 48)): f"a {name} in {style} style, from {groups[name]}."
            for name in COLOURS
            for style in STYLES
        }[image.getpixel((48, 48))]


def answer(text=None, transcript=None, image=None, audio=None, stop_reason="end") -> SimpleNamespace:
    """A reply, in the shape of `Reply`."""
    seconds = audio.duration if audio else 0.0
    stats = SimpleNamespace(audio_s=seconds, rtf=0.5, first_chunk_s=0.25, stop_reason=stop_reason)
    return SimpleNamespace(text=text, transcript=transcript, image=image, audio=audio, stats=stats)


class Wrong(Perfect):
    """A model that is always wrong, and never finishes."""

    def generate(self, prompt, outputs, task=None, seed=0):
        if task == "speak":
            return answer(audio=say("nothing at all like it my friend"), stop_reason="length")
        heard = prompt if task == "draw" else hear(prompt[0]["content"][0]["audio"])
        return answer("no", "no", picture("pear" if "sea" in heard else "sea", "flat"))

    def chat(self):
        return SimpleNamespace(send=lambda content, outputs, seed: answer("no", image=picture("sea", "3d")))

    def transcribe(self, audio):
        return "no"

    def describe(self, image):
        return "a pearl"


def bench(omni, held_out, **options) -> Bench:
    return Bench(omni, held_out, hear, lambda audio: 3.0, say, progress=False, **options)


def figures(omni, suite: str, held_out: HeldOut) -> dict[str, float]:
    found, rows = SUITES[suite](bench(omni, held_out))
    json.dumps(rows)
    return {title: figure.value for title, figure in found.items()}


def test_a_perfect_model_gets_perfect_figures(held_out):
    assert figures(Perfect(), "tts", held_out) == {
        "WER": 0,
        "WER of 20-word sentences": 0,
        "20-word sentences that end by themselves": 100,
        "first-chunk latency": 0.25,
        "real-time factor": 0.5,
    }
    assert figures(Perfect(), "asr", held_out) == {
        "WER, the same voice": 0,
        "WER, other synthetic voices": 0,
        "WER, slt": 0,
        "WER, awb": 0,
        "WER, a real person": 0,
    }
    for suite, count in (("draw", 4), ("describe", 6), ("chat", 5)):
        found = figures(Perfect(), suite, held_out)
        assert (set(found.values()), len(found)) == ({100}, count), suite
    assert list(figures(Perfect(), "spoken", held_out).values()) == [0, 100, 100, 0]
    codec = figures(Perfect(), "codec", held_out)
    assert codec["WER lost in the speech codec"] == 0
    assert codec["naturalness after the speech codec"] == 3
    assert codec["naturalness lost in the speech codec"] == 0
    assert codec["pictures nearest to themselves"] == 100
    letters = {letter for sentence in (*SENTENCES, *LONG) for letter in sentence}
    assert codec["speech codes in use"] == pytest.approx(100 * len(letters) / 256)
    assert codec["PSNR of pictures"] == 99


def test_a_wrong_model_gets_no_points(held_out):
    assert figures(Wrong(), "tts", held_out)["WER"] >= 100
    assert figures(Wrong(), "tts", held_out)["20-word sentences that end by themselves"] == 0
    assert set(figures(Wrong(), "asr", held_out).values()) == {100}
    assert figures(Wrong(), "draw", held_out)["right concept, never trained on"] == 0
    assert set(figures(Wrong(), "describe", held_out).values()) == {0}
    assert list(figures(Wrong(), "spoken", held_out).values()) == [100, 0, 0, 100]
    assert set(figures(Wrong(), "chat", held_out).values()) == {0}


@pytest.mark.parametrize(
    ("turn", "reply", "broken"),
    [
        (SCRIPTS[0][0], {"text": "here is a pair"}, "text"),
        (SCRIPTS[0][0], {"transcript": "show a fair"}, "heard"),
        (SCRIPTS[0][0], {"image": picture("sea", "3d")}, "picture"),
        (SCRIPTS[0][0], {"image": None}, "picture"),
        (SCRIPTS[0][0], {"transcript": "show me a fair", "image": picture("pear", "3d")}, None),
        (SCRIPTS[0][1], {"image": picture("pear", "flat")}, "picture"),
        (SCRIPTS[1][0], {"image": picture("sea", "flat")}, "picture"),
        (SCRIPTS[1][1], {"text": "the sea is a wide body of salt water with big waves"}, None),
        (SCRIPTS[1][1], {"text": "the sea is a very wide body of salt"}, "text"),
        (SCRIPTS[1][1], {"text": "waves with water salt of body wide very a is sea the"}, "text"),
    ],
)
def test_each_rule_judges_a_turn_by_itself(held_out, turn, reply, broken):
    drawn = turn.drawn and picture(turn.drawn[0], turn.drawn[1] or "flat")
    right = {"text": turn.answer, "transcript": turn.said if turn.spoken else None, "image": drawn}
    row = judge(turn, answer(**right | reply), held_out.gallery)
    wrong = [name for name in ("heard", "text", "picture") if not row[f"{name}_right"]]
    assert wrong == ([broken] if broken else [])
    assert row["right"] is not bool(broken)


def test_a_turn_that_does_not_fit_the_context_is_wrong(held_out):
    class Full(Perfect):
        def chat(self):
            def send(content, outputs, seed):
                raise InputError("expected a prompt of at most 510 ids, got 700")

            return SimpleNamespace(send=send)

    assert set(figures(Full(), "chat", held_out).values()) == {0}


def test_limit_and_empty_sets(held_out):
    rows = SUITES["asr"](bench(Perfect(), held_out, limit=1))[1]
    assert [row["voice"] for row in rows] == ["joe", "slt", "awb", "person"]
    held_out.sentences.clear()
    with pytest.raises(InputError, match="expected items"):
        figures(Perfect(), "asr", held_out)


def test_held_out_set_is_read_as_it_was_written(held_out):
    assert held_out.sentences == SENTENCES
    assert [pair.name for pair in held_out.pairs] == ["red apple", "sea"]
    assert held_out.pairs[1].seen
    assert held_out.requests[0] == Request("show me a pear", "pear")
    assert held_out.scripts == SCRIPTS
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
    assert not whole_speech(text, text, 0.5)
    assert not whole_speech(text, text, 1.9)
    assert not whole_speech(text, " ".join(text.split()[:12]), 0.9)
    assert not whole_speech(text, f"{text} {text}", 1.5)


def test_targets_name_what_was_reached():
    low, high = Figure(10, 9, 11, 5), Figure(90, 80, 95, 5, better="higher")
    assert [Target(must, aim).reached(low) for must, aim in ((20, 10), (10, 5), (8, 5))] == [
        "aim",
        "must",
        "missed",
    ]
    assert [Target(must, aim).reached(high) for must, aim in ((80, 90), (85, 95), (95, 99))] == [
        "aim",
        "must",
        "missed",
    ]
    assert Target(None, 5).reached(low) == "reported"


def test_every_target_is_of_a_figure_that_there_is(held_out):
    titles = {(suite, title) for suite, run in SUITES.items() for title in run(bench(Perfect(), held_out))[0]}
    assert set(TARGETS) <= titles


def test_report_lists_every_figure(held_out, tmp_path):
    report = evaluate(Perfect(), ("draw",), held_out=held_out, progress=False)
    reports.write(report, tmp_path / "report.json")
    assert reports.read(tmp_path / "report.json") == report
    assert report["presets"]["speak"]["max_new_tokens"] == Options().max_new_tokens
    line = "| draw | right concept, never trained on | 100.0 % [100.0, 100.0] | ≥ 40 | ≥ 70 | aim | 1 |"
    assert line in reports.markdown(report)
    assert "right style, never trained on" in reports.plain(report)
    assert reports.markdown(report).count("\n") == 5
    with pytest.raises(InputError, match="dance"):
        evaluate(Perfect(), ("dance",), held_out=held_out)


def test_the_page_shows_every_file_that_was_kept(held_out, tmp_path):
    folder = tmp_path / "page"
    report = {"model": "<nano>", "suites": {}}
    for suite in ("draw", "chat", "tts"):
        found, rows = SUITES[suite](bench(Perfect(), held_out, folder=folder))
        report["suites"][suite] = {"figures": {t: f.to_dict() for t, f in found.items()}, "items": rows}
    write_page(report, folder)
    page = (folder / "index.html").read_text()
    kept = [file for file in folder.glob("*/*") if file.is_file()]
    assert len(kept) == 2 * 2 + (1 + 3) + (2 + 1)
    assert all(f'src="{file.relative_to(folder)}"' in page for file in kept)
    assert "&lt;nano&gt;" in page
    assert "http" not in page
    with Image.open(folder / "contact_sheet.png") as sheet:
        assert sheet.getpixel((48, 14 + 48)) == sheet.getpixel((96 + 48, 14 + 48)) == (120, 12, 18)


def test_a_missing_extra_is_named():
    with pytest.raises(DependencyError, match=r"pip install 'ar-omni\[eval\]'"):
        import_extra("no_such_module_anywhere", "eval")


def test_a_missing_judge_is_named_before_anything_runs(held_out, monkeypatch):
    monkeypatch.setattr(reports, "_VERSIONS", ("no-such-package",))
    with pytest.raises(DependencyError, match=r"no-such-package.*pip install 'ar-omni\[eval\]'"):
        evaluate(Perfect(), held_out=held_out, progress=False)


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
