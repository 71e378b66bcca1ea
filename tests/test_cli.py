"""The command line: what it prints and writes, and how each bad input ends: one line, status 2, no file."""

import json
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from PIL import Image

from ar_omni import cli, commands, terminal
from ar_omni.errors import CheckpointError, UnsupportedOutputError
from ar_omni.media import Audio


@dataclass
class Stats:
    first_chunk_s: float = 0.2
    rtf: float = 0.5
    audio_s: float = 1.0
    stop_reason: str = "end"


class Fake:
    """A model that answers at once, in the shape of `AROmni`."""

    def generate(self, prompt, outputs, task, seed):
        if prompt == "paint it black":
            raise UnsupportedOutputError("expected an output out of text, image, got 'speech'")
        return SimpleNamespace(audio=Audio(np.full(24_000, 0.1), 24_000), stats=Stats())

    def transcribe(self, audio, seed=0):
        return f"{audio.duration:.1f} seconds"

    def draw(self, prompt, seed=0):
        return Image.new("RGB", (96, 96), "red" if "3d" in prompt else "blue")

    def describe(self, image, seed=0):
        return f"{image.width} pixels wide"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder, and the fake model in place of the real one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "load_model", lambda args: Fake())
    return tmp_path


def tone(seconds: float) -> np.ndarray:
    return 0.3 * np.sin(np.arange(int(16_000 * seconds)) / 5)


def test_speak_writes_speech_and_says_how_fast(here, capsys):
    assert cli.main(["speak", "hello", "-o", "a.flac"]) == 0
    assert Audio.load("a.flac").duration == 1
    assert "first chunk after 200 ms, real-time factor 0.50" in capsys.readouterr().out


def test_transcribe_draw_and_describe(here, capsys):
    soundfile.write("q.wav", tone(2), 16_000)
    assert cli.main(["transcribe", "q.wav"]) == 0
    assert capsys.readouterr().out == "2.0 seconds\n"
    assert cli.main(["draw", "a cube", "--style", "3d", "-o", "cube.png"]) == 0
    assert Image.open("cube.png").getpixel((0, 0)) == (255, 0, 0)
    assert cli.main(["describe", "cube.png"]) == 0
    assert capsys.readouterr().out.endswith("96 pixels wide\n")


@pytest.mark.parametrize(
    ("arguments", "key"),
    [("speak hi -o a.wav", "stats"), ("draw cube -o a.png", "width"), ("transcribe q.wav", "text")],
)
def test_json_is_one_object_and_nothing_else(here, capsys, arguments, key):
    soundfile.write("q.wav", tone(1), 16_000)
    assert cli.main([*arguments.split(), "--json"]) == 0
    captured = capsys.readouterr()
    assert key in json.loads(captured.out)
    assert captured.err == ""


BAD = {
    "missing recording": ("transcribe none.wav", "does not exist"),
    "missing picture": ("describe none.png", "does not exist"),
    "a folder as recording": ("transcribe .", "folder"),
    "broken picture": ("describe broken.png", "damaged"),
    "broken recording": ("transcribe broken.wav", "cannot be read"),
    "empty recording": ("transcribe empty.wav", "empty"),
    "silent recording": ("transcribe silent.wav", "silence"),
    "ten-minute recording": ("transcribe long.wav", "at most 60 seconds"),
    "huge picture": ("describe huge.png", "64 million pixels"),
    "bad suffix for speech": ("speak hello -o out.xyz", ".wav, .flac"),
    "bad suffix for a picture": ("draw cube -o out.wav", ".png"),
    "missing folder": ("speak hello -o none/out.wav", "existing folder"),
    "no output named": ("speak hello", "-o"),
    "unknown command": ("dance", "invalid choice"),
    "no command": ("", "COMMAND"),
    "seed that is no number": ("speak hi -o out.wav --seed x", "invalid int"),
    "unknown suite": ("evaluate --suite dance", "invalid choice"),
    "a file as folder": ("demo --out broken.png", "folder"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_status_2_and_no_file(here, capsys, name):
    from test_media import huge_png

    (here / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (here / "broken.wav").write_bytes(b"RIFF????WAVEnothing")
    (here / "huge.png").write_bytes(huge_png(30_000, 30_000))
    soundfile.write("empty.wav", np.zeros(0), 16_000)
    soundfile.write("silent.wav", np.zeros(16_000), 16_000)
    if name.startswith("ten"):
        soundfile.write("long.wav", np.zeros(16_000 * 600, np.float32), 16_000)
    before = set(here.rglob("*"))
    arguments, words = BAD[name]
    assert cli.main(arguments.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("ar-omni: ")
    assert captured.err.count("\n") == 1
    assert words in captured.err
    assert set(here.rglob("*")) == before


def test_refusals_of_the_model_end_the_same_way(here, capsys, monkeypatch):
    assert cli.main(["speak", "paint it black", "-o", "out.wav"]) == 2
    assert "'speech'" in capsys.readouterr().err

    def unknown(args):
        raise CheckpointError(f"expected a checkpoint,\ngot {args.model}")

    monkeypatch.setattr(commands, "load_model", unknown)
    assert cli.main(["draw", "cube", "-o", "out.png", "--model", "nowhere"]) == 2
    assert capsys.readouterr().err == "ar-omni: expected a checkpoint, got nowhere\n"
    assert list(here.iterdir()) == []


def test_trouble_with_the_system_is_status_1_and_leaves_nothing(here, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    assert cli.main(["draw", "cube", "-o", "out.png"]) == 1
    assert "No space left" in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_interrupting_is_status_130(here, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Fake, "draw", interrupt)
    assert cli.main(["draw", "cube", "-o", "out.png"]) == 130


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.name)
def test_every_command_has_help_and_the_common_flags(command, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([command.name, "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    for flag in ("--model", "--seed", "--json", "--help"):
        assert flag in shown


def test_suites_on_the_command_line_are_the_suites_there_are():
    from ar_omni.evaluation.suites import SUITES

    assert cli.EVALUATION_SUITES == (*SUITES, "all")
    assert terminal.QUESTION.suffix == ".wav"
