"""Loading takes little more memory than the model: the large-model benchmark at a small size."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "large_model.py"


@pytest.fixture(scope="module")
def benchmark():
    specification = importlib.util.spec_from_file_location("large_model", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(benchmark, tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "model"
    benchmark.make_checkpoint(path, "small")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("quantize", [None, "int8", "int4"])
def test_no_second_copy(benchmark, folder, quantize):
    row = benchmark.measured(folder, "bfloat16", quantize, prompt=8, new=2, threads=1)
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    if quantize:
        maps = 8 * (4 * 1024**2 + 3 * 1024 * 2816)
        size -= maps * 2 - maps // {"int8": 1, "int4": 2}[quantize]
    taken = row["load_peak_bytes"] - row["before_bytes"]
    assert taken <= 1.15 * size, f"{taken / 1e6:.0f} MB for {size / 1e6:.0f} MB of weights"
    assert row["decode_tokens_s"] > 0
