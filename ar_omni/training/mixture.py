"""Several sources in fixed proportions, each in its own shuffled order, epoch after epoch."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from ar_omni.errors import InputError
from ar_omni.training.data import POOL_STEPS, Row


@dataclass(frozen=True)
class Source:
    """Rows of one kind.

    Attributes:
        name: for messages.
        lengths: ids of each row.
        row: makes a row from its number and a generator.
        share: rows taken from here, in proportion to the other sources' shares.
        max_length: longer rows, and empty ones, are left out.
    """

    name: str
    lengths: np.ndarray
    row: Callable[[int, random.Random], Row]
    share: float = 1.0
    max_length: int = 2**31
    kept: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        kept = np.flatnonzero((self.lengths > 1) & (self.lengths <= self.max_length))
        if not len(kept) or self.share <= 0:
            raise InputError(
                f"expected rows of 2 to {self.max_length} ids and a share above 0 in {self.name}, "
                f"got {len(kept)} of {len(self.lengths)} rows and the share {self.share}"
            )
        object.__setattr__(self, "kept", kept)

    @property
    def left_out(self) -> int:
        """How many rows the length filter leaves out."""
        return len(self.lengths) - len(self.kept)

    @property
    def mean_length(self) -> float:
        return float(self.lengths[self.kept].mean())


def mixture(
    sources: Sequence[Source], tokens: int, parts: int, seed: int = 0
) -> Callable[[random.Random, int], list[Row]]:
    """The `fill(rng, pool)` of `ar_omni.training.data.pooled`.

    Each pool holds rows of the sources in proportion to their shares, as many as make `tokens` ids a batch
    on average. A source gives every row once before any row again, in an order of its own in each epoch.
    Which rows a pool holds follows from its number alone.

    Args:
        sources: at least one.
        tokens: ids in one batch on average.
        parts: batches a step.
        seed: another seed gives another order.
    """
    total = sum(source.share for source in sources)
    shares = [source.share / total for source in sources]
    mean = sum(share * source.mean_length for share, source in zip(shares, sources, strict=True))
    rows_per_pool = POOL_STEPS * parts * tokens / mean
    rows_per_pool = max(rows_per_pool, POOL_STEPS * parts + len(sources))  # one a batch, whatever is rounded

    @lru_cache(maxsize=2 * len(sources))
    def order(number: int, epoch: int) -> np.ndarray:
        return np.random.default_rng([seed, number, epoch]).permutation(sources[number].kept)

    def fill(rng: random.Random, pool: int) -> list[Row]:
        rows = []
        for number, (share, source) in enumerate(zip(shares, sources, strict=True)):
            first, last = (_rounded(index * rows_per_pool * share) for index in (pool, pool + 1))
            for place in range(first, last):
                epoch, within = divmod(place, len(source.kept))
                rows.append(source.row(int(order(number, epoch)[within]), rng))
        return rows

    return fill


def _rounded(rows: float) -> int:
    return -int(-rows // 1)
