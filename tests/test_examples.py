"""The examples run from their one command, in a shortened form."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_new_pictures(checkpoint, tmp_path):
    script = ROOT / "examples/new_pictures/run.py"
    options = ["--work-dir", tmp_path, "--model", checkpoint, "--count", 2, "--steps", 3]
    result = subprocess.run(
        [sys.executable, script, *map(str, options)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert result.returncode == 0, result.stderr
    lines = [
        line.split(": ", 1) for line in result.stdout.splitlines() if line.startswith(("before:", "after:"))
    ]
    assert [name for name, _ in lines] == ["before", "after"]
    for _, figures in lines:
        assert set(json.loads(figures)) == {"drawn", "named"}
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
