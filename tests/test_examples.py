"""The examples run from their one command, in a shortened form."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ar_omni import Audio

ROOT = Path(__file__).parents[1]


@pytest.fixture
def run(checkpoint, tmp_path):
    """`run(example, *options)`: what the example prints before and after."""

    def start(example, *options):
        command = [sys.executable, ROOT / "examples" / example / "run.py", "--work-dir", tmp_path]
        command += ["--model", checkpoint, *options]
        result = subprocess.run(
            [*map(str, command)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert result.returncode == 0, result.stderr
        assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
        lines = [
            line.split(": ", 1) for line in result.stdout.splitlines() if line.startswith(("before", "after"))
        ]
        assert [name for name, _ in lines] == ["before", "after"]
        return [json.loads(figures) for _, figures in lines]

    return start


@pytest.mark.slow
def test_new_pictures(run):
    for figures in run("new_pictures", "--count", 2, "--steps", 3):
        assert set(figures) == {"drawn", "named"}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("flite"), reason="flite is not installed")
def test_new_voice(run, tmp_path):
    pytest.importorskip("faster_whisper")
    before, after = run("new_voice", "--minutes", 0.1, "--steps", 3, "--sentences", 2)
    assert set(before) == set(after) == {"WER", "pitch", "pitch of the new voice", "like the new voice"}
    assert 150 < before["pitch of the new voice"] < 220, "slt is a woman"
    rows = [json.loads(line) for line in (tmp_path / "slt-0.1-minutes.jsonl").read_text().splitlines()]
    clips = [tmp_path / row["messages"][1]["content"][0]["audio"] for row in rows]
    assert sum(Audio.load(clip).duration for clip in clips) >= 6


def test_a_second_voice_wants_a_folder_of_its_own(tmp_path):
    pytest.importorskip("faster_whisper")
    (tmp_path / "slt-30-minutes.jsonl").touch()
    command = [sys.executable, ROOT / "examples/new_voice/run.py", "--work-dir", tmp_path, "--voice", "rms"]
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300)
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert "expected a folder for rms-30-minutes, got one with slt-30-minutes.jsonl" in result.stderr


@pytest.fixture
def pitch():
    specification = importlib.util.spec_from_file_location("pitch", ROOT / "examples/new_voice/pitch.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.median_pitch


@pytest.mark.parametrize("hertz", [75.0, 110.0, 205.0, 320.0])
def test_pitch_of_a_hum(pitch, hertz):
    """Overtones louder than the fundamental, noise and pauses do not mislead it."""
    t = np.arange(24_000) / 24_000
    hum = sum(k * np.sin(2 * np.pi * k * hertz * t) for k in (1, 2, 3)) * (t % 0.5 < 0.4)
    noise = np.random.default_rng(0).normal(size=len(t))
    assert pitch(Audio(0.1 * hum + 0.02 * noise, 24_000)) == pytest.approx(hertz, rel=0.02)
    assert np.isnan(pitch(Audio(0.1 * noise, 24_000)))
    assert np.isnan(pitch(Audio(np.zeros(100), 24_000)))
