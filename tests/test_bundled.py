"""The bundled model itself, end to end, through the command line, on real media."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ar_omni import AROmni, Audio, SpeechChunk, TurnEnd
from ar_omni.evaluation.heldout import HeldOut
from ar_omni.evaluation.judges import mentions
from ar_omni.media import load_image
from ar_omni.terminal import QUESTION


@pytest.fixture(scope="module")
def omni() -> AROmni:
    return AROmni.from_pretrained()


@pytest.fixture(scope="module")
def held_out() -> HeldOut:
    return HeldOut()


def run(*arguments: str, folder) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "ar_omni.cli", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def test_demo_answers_in_text_picture_and_speech(tmp_path):
    done = run("demo", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    result = json.loads(done.stdout)
    assert result["transcript"]
    assert (tmp_path / result["files"]["text"]).read_text().strip() == result["text"]
    assert load_image(tmp_path / result["files"]["image"]).size[0] >= 64
    reply = Audio.load(tmp_path / result["files"]["speech"])
    assert reply.duration > 0.3
    assert np.abs(reply.samples).max() > 0.02
    assert reply.duration == pytest.approx(result["stats"]["audio_s"], abs=0.05)
    assert result["stats"]["rtf"] < 1


def test_demo_prints_for_people(tmp_path):
    done = run("demo", "--out", "there", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in ("question", "heard", "reply", "first chunk after", "real-time factor", "there/picture.png"):
        assert words in done.stdout
    names = {"question.wav", "reply.txt", "picture.png", "reply.wav"}
    assert {file.name for file in (tmp_path / "there").iterdir()} == names


def test_chat_keeps_its_files_and_answers_each_line(tmp_path):
    command = [sys.executable, "-m", "ar_omni.cli", "chat", "--json", "--speak"]
    lines = "hello\n/image none.png\n/unknown\nshow me a red apple\n/reset\n/quit\n"
    done = subprocess.run(command, cwd=tmp_path, input=lines, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(replies) == 2
    for reply in replies:
        assert reply["text"]
        assert all((tmp_path / file).stat().st_size for file in reply["files"].values())
        assert "speech" in reply["files"]


def test_starting_needs_no_transformers(tmp_path):
    code = (
        "import sys; from ar_omni.cli import main; status = main(['demo', '--json']);"
        "print('transformers' in sys.modules); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False"


def test_speech_is_streamed_in_pieces_that_make_the_whole(omni):
    whole = omni.speak("good afternoon", seed=0)
    events = list(omni.stream("good afternoon", outputs=("speech",), task="speak", seed=0))
    chunks = [event for event in events if isinstance(event, SpeechChunk)]
    assert len(chunks) > 2
    assert np.abs(np.concatenate([chunk.pcm for chunk in chunks]) - whole.samples).max() < 1e-4
    assert isinstance(events[-1], TurnEnd)


def test_a_seed_gives_the_same_picture_again(tmp_path):
    for name in "ab":
        done = run("draw", "a red apple", "-o", f"{name}.png", "--seed", "1", folder=tmp_path)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_it_hears_what_it_is_asked(omni):
    assert len(omni.transcribe(QUESTION).split()) >= 2


def test_a_picture_that_it_drew_can_be_described(omni):
    image = omni.draw("a red apple", seed=0)
    assert isinstance(image, Image.Image)
    assert omni.describe(image).strip()


def test_most_pictures_that_it_was_trained_on_are_named(omni, held_out):
    pairs = [pair for pair in held_out.pairs if pair.seen][:12]
    told = [mentions(omni.describe(held_out.pictures[pair.name, pair.style]), pair.name) for pair in pairs]
    assert sum(told) >= 6


def test_it_writes_down_a_good_part_of_what_a_voice_says(omni):
    heard = omni.transcribe(QUESTION).split()
    assert heard[:2] == ["show", "me"]
