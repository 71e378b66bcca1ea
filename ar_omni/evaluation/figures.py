"""A figure is a ratio of sums over items, with a bootstrap confidence interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

RESAMPLES = 2000


@dataclass(frozen=True)
class Figure:
    """One measured value and its 95 % interval, over `items` items; `better` is "lower" or "higher"."""

    value: float
    low: float
    high: float
    items: int
    unit: str = "%"
    better: str = "lower"

    def to_dict(self) -> dict:
        """Plain json values."""
        return asdict(self)

    def __str__(self) -> str:
        digits = 1 if self.unit in ("%", "dB") else 2
        value, low, high = (f"{number:.{digits}f}" for number in (self.value, self.low, self.high))
        return f"{value} {self.unit} [{low}, {high}]"


def ratio(
    parts: Sequence[float],
    wholes: Sequence[float] | None = None,
    *,
    unit: str = "%",
    better: str = "lower",
    seed: int = 0,
) -> Figure:
    """`sum(parts) / sum(wholes)` with a 95 % percentile-bootstrap interval over the items.

    Word error rate is errors over words; a share is hits over ones; a mean is values over ones.

    Args:
        parts: one number an item.
        wholes: one number an item; ones if left out.
        unit: "%" multiplies by 100.
        better: which way is better, for the reader of a table.
        seed: of the resampling, so that a report repeats exactly.
    """
    parts = np.asarray(parts, dtype=np.float64)
    wholes = np.ones_like(parts) if wholes is None else np.asarray(wholes, dtype=np.float64)
    scale = 100.0 if unit == "%" else 1.0
    picks = np.random.default_rng(seed).integers(0, len(parts), (RESAMPLES, len(parts)))
    resampled = scale * parts[picks].sum(axis=1) / np.maximum(wholes[picks].sum(axis=1), 1e-12)
    low, high = np.percentile(resampled, [2.5, 97.5])
    value = scale * parts.sum() / wholes.sum()
    return Figure(float(value), float(low), float(high), len(parts), unit, better)
