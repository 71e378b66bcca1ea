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

from ar_omni import AROmni, Audio

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
        lines = [
            line.split(": ", 1) for line in result.stdout.splitlines() if line.startswith(("before", "after"))
        ]
        assert [name for name, _ in lines] == ["before", "after"]
        return [json.loads(figures) for _, figures in lines]

    return start


@pytest.mark.slow
def test_new_pictures(run, tmp_path):
    for figures in run("new_pictures", "--count", 2, "--steps", 3):
        assert set(figures) == {"drawn", "named"}
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("flite"), reason="flite is not installed")
def test_new_voice(run, tmp_path):
    pytest.importorskip("faster_whisper")
    before, after = run("new_voice", "--minutes", 0.1, "--steps", 3, "--sentences", 2)
    assert set(before) == set(after) == {"WER", "like the new voice", "recordings like the new voice"}
    assert before["like the new voice"] == 0.0 and before["recordings like the new voice"] == 1.0
    folder = tmp_path / "slt-0.1-minutes"
    assert sum(Audio.load(clip).duration for clip in (folder / "recordings").iterdir()) >= 6
    assert AROmni.from_pretrained(folder / "model").processor.speech_tokenizer.sample_rate == 24_000


@pytest.fixture
def voices():
    specification = importlib.util.spec_from_file_location("timbre", ROOT / "examples/new_voice/timbre.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_speakers_are_told_apart_whatever_they_say_and_however_loud(voices):
    rng = np.random.default_rng(0)

    def speak(formant: float, rate: int = 24_000) -> Audio:
        """Two seconds of syllables of random heights and loudness with one resonance."""
        t = np.arange(2 * rate) / rate
        height = np.repeat(rng.uniform(90, 250, 8), rate // 4)
        source = np.sign(np.sin(2 * np.pi * np.cumsum(height) / rate)) + 0.1 * rng.normal(size=len(t))
        ring = np.exp(-400 * t[:200]) * np.cos(2 * np.pi * formant * t[:200])
        loud = np.repeat(rng.uniform(0.2, 1.0, 8), rate // 4) * rng.uniform(0.01, 0.3)
        return Audio(loud * np.convolve(source, ring)[: len(t)] / 20, rate)

    old, new, found = (
        np.array([voices.timbre(speak(formant)) for _ in range(12)]) for formant in (700, 1100, 1100)
    )
    assert voices.nearer(found, old, new) == 1.0 and voices.nearer(old, old, new) == 0.0
    assert voices.timbre(speak(700, 44_100)) == pytest.approx(old.mean(0), abs=2.0)
    silent = voices.timbre(Audio(np.zeros(24_000), 24_000))
    assert np.isnan(silent).all() and voices.nearer(silent[None], old, new) == 0.0
    assert voices.nearer(found, np.vstack([old, silent]), new) == 1.0, "what is silent is left out"
