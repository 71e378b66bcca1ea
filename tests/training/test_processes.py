"""Trainings as programs: killed at any step and started again, and spread over two processes."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("tiny_run.py")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")

pytestmark = pytest.mark.slow


def run(folder, *arguments, launcher=()):
    command = [sys.executable, *launcher, SCRIPT, folder, *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)


def weights(folder):
    return torch.load(folder / "weights.pt", weights_only=True)


def curve(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_run_that_is_killed_at_any_step_ends_the_same(tmp_path):
    step = random.randrange(1, 8)
    assert run(tmp_path / "whole", 1).returncode == 0
    assert run(tmp_path / "killed", 1, step).returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "weights.pt").exists()
    resumed = run(tmp_path / "killed", 1)
    assert resumed.returncode == 0, resumed.stderr
    found = weights(tmp_path / "killed")
    for name, value in weights(tmp_path / "whole").items():
        assert torch.equal(value, found[name]), f"killed at step {step}: {name}"


@pytest.mark.parametrize(
    ("engine", "like"), [("fsdp2", "plain"), ("context", "plain"), ("zero3", "not averaged")]
)
def test_sharded_over_two_processes_killed_and_resumed(tmp_path, engine, like):
    """Each process holds a part of every weight; a run that is killed and goes on ends like one process."""
    if engine == "zero3":
        pytest.importorskip("deepspeed")
    assert run(tmp_path / "one", 4, -1, like).returncode == 0
    assert run(tmp_path / "two", 4, 5, engine, launcher=TORCHRUN).returncode
    assert not (tmp_path / "two" / "weights.pt").exists()
    resumed = run(tmp_path / "two", 4, -1, engine, launcher=TORCHRUN)
    assert resumed.returncode == 0, resumed.stderr
    assert [row["step"] for row in curve(tmp_path / "two")] == [3, 6, 8]
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-5, msg=name)
    for first, second in zip(curve(tmp_path / "one"), curve(tmp_path / "two"), strict=True):
        assert first["held_out_ntp"] == pytest.approx(second["held_out_ntp"], rel=1e-3)


def test_two_processes_are_one(tmp_path):
    for name, launcher in (("one", ()), ("two", TORCHRUN)):
        result = run(tmp_path / name, 2, launcher=launcher)
        assert result.returncode == 0, result.stderr
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-5, msg=name)
    for first, second in zip(curve(tmp_path / "one"), curve(tmp_path / "two"), strict=True):
        assert first == pytest.approx(second, rel=1e-3, abs=2e-4)
