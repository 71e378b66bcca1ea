"""Where the original code's outputs are: beside the repository, or the part of them in `tests/data`."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).parents[1]
PLACES = (REPOSITORY.parent / "shared" / "goldens", REPOSITORY / "tests" / "data" / "goldens")


def golden(name: str) -> Path:
    """A file or folder of the golden data; the test is skipped where it is not kept."""
    path = next((place / name for place in PLACES if (place / name).exists()), None)
    if path is None:
        pytest.skip(f"golden data {name} is not here")
    return path


@cache
def arrays(name: str) -> dict[str, np.ndarray]:
    """An npz of the golden data."""
    with np.load(golden(name)) as values:
        return dict(values)


@cache
def values(name: str):
    """A json of the golden data."""
    return json.loads(golden(name).read_text(encoding="utf-8"))
