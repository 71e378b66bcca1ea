"""The command line on a real checkpoint with random weights: each command runs, each refusal is one line."""

import io
import json
import shutil

import pytest

from ar_omni import cli, terminal
from ar_omni.evaluation.bench import Bench
from ar_omni.evaluation.heldout import HeldOut
from ar_omni.evaluation.suites import SUITES
from ar_omni.media import Audio, load_image


@pytest.fixture
def here(tmp_path, monkeypatch, tone, picture):
    monkeypatch.chdir(tmp_path)
    tone.save("question.wav")
    picture.save("picture.png")
    monkeypatch.setattr(terminal, "QUESTION", tmp_path / "question.wav")
    return tmp_path


def run(checkpoint, *arguments) -> int:
    return cli.main([*arguments, "--model", str(checkpoint)])


def test_each_task_gives_its_medium(here, checkpoint, capsys):
    assert run(checkpoint, "speak", "a red apple", "-o", "said.wav") == 0
    assert Audio.load("said.wav").duration > 0.1
    assert run(checkpoint, "draw", "a red apple", "-o", "drawn.png", "--style", "3d") == 0
    assert load_image("drawn.png").size == (24, 24)
    assert run(checkpoint, "transcribe", "question.wav") == 0
    assert run(checkpoint, "describe", "picture.png") == 0
    assert capsys.readouterr().err == ""


def test_demo(here, checkpoint, capsys):
    assert run(checkpoint, "demo", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["stats"]["preset"] == "chat"
    assert {"question", "speech"} <= set(result["files"])
    for file in result["files"].values():
        assert (here / file).stat().st_size > 0
    assert run(checkpoint, "demo", "--out", "again") == 0
    assert "first chunk after" in capsys.readouterr().out


def test_chat(here, checkpoint, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("what is that?\n\n/image none.png\n/help\n/reset\nhello\n"))
    assert run(checkpoint, "chat", "--speak", "--audio", "question.wav", "--image", "picture.png") == 0
    printed = capsys.readouterr().out
    assert printed.count("saved") >= 3
    assert "none.png, which does not exist" in printed
    assert printed.count(terminal.HELP) == 2
    speech = sorted(file.name for file in (here / "ar-omni-chat").glob("*.wav"))
    assert speech == ["01-reply.wav", "02-reply.wav", "03-reply.wav"]


REFUSED = {
    "million characters": (("speak", "a" * 1_000_000, "-o", "out.wav"), "100,000"),
    "more than the context": (("speak", "a " * 4_000, "-o", "out.wav"), "at most 510 ids"),
    "no text": (("draw", " ", "-o", "out.png"), "some text"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_text_is_refused(here, checkpoint, capsys, name):
    before = set(here.iterdir())
    arguments, words = REFUSED[name]
    assert run(checkpoint, *arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert set(here.iterdir()) == before


def test_unknown_and_damaged_models_are_refused(here, checkpoint, capsys):
    assert run("no-such-model", "draw", "a cube", "-o", "out.png") == 2
    assert "no-such-model" in capsys.readouterr().err
    shutil.copytree(checkpoint, "damaged")
    weights = here / "damaged" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert run("damaged", "draw", "a cube", "-o", "out.png") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "model.safetensors" in error
    assert not (here / "out.png").exists()


def test_untrained_outputs_are_refused(here, checkpoint, capsys):
    shutil.copytree(checkpoint, "mute")
    (here / "mute" / "manifest.json").unlink()
    settings = here / "mute" / "processor_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"untrained_outputs": ["speech"]}))
    assert run("mute", "speak", "hello", "-o", "out.wav") == 2
    error = capsys.readouterr().err
    assert "speech" in error
    assert error.count("\n") == 1
    assert not (here / "out.wav").exists()


def test_every_suite_measures_a_real_model(omni, tone):
    judges = {"hear": lambda audio: "nothing", "rate": lambda audio: 3.0, "read": lambda text: tone}
    bench = Bench(omni, HeldOut(), **judges, limit=1, progress=False)
    for name, suite in SUITES.items():
        figures, rows = suite(bench)
        assert figures, name
        json.dumps(rows)
