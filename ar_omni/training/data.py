"""Batches as a function of the step: any step of any process can be made again from its number alone."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate, pairwise

from torch import Tensor

from ar_omni.training.objective import Row, pad_rows

POOL_STEPS = 8
"""Steps whose rows are drawn together, so that rows of like length can be put together."""


def batches(
    draw: Callable[[random.Random, float], Row],
    steps: int,
    tokens: int,
    parts: int,
    pad_id: int,
    seed: int = 0,
) -> Callable[[int, int], dict[str, Tensor]]:
    """Makes the `batch_at(step, part)` that the training loop asks for, from rows that are drawn at random.

    Args:
        draw: makes one row from a generator and the progress of the training in [0, 1].
        steps: length of the training, for the progress.
        tokens: ids in one part, padding included.
        parts: how many batches a step takes: processes times accumulation.
        pad_id: fills short rows.
        seed: another seed gives another order.
    """

    def fill(rng: random.Random, index: int) -> list[Row]:
        rows, wanted = [], POOL_STEPS * parts * tokens
        while sum(len(row.ids) for row in rows) < wanted:
            rows += [draw(rng, index * POOL_STEPS / steps) for _ in range(32)]
        return rows

    return pooled(fill, parts, pad_id, seed)


def pooled(
    fill: Callable[[random.Random, int], list[Row]], parts: int, pad_id: int, seed: int = 0
) -> Callable[[int, int], dict[str, Tensor]]:
    """Makes `batch_at(step, part)` from pools of rows that serve `POOL_STEPS` steps each.

    The rows of a pool are sorted by length and cut into batches of about equally many ids, so that hardly any
    padding is computed and all processes have equally much to do.

    Args:
        fill: the rows of a pool, at least one for each batch, from a generator and the pool's number.
        parts: how many batches a step takes: processes times accumulation.
        pad_id: fills short rows.
        seed: another seed gives another order.
    """

    @lru_cache(maxsize=2)
    def pool(index: int) -> list[list[Row]]:
        rng = random.Random(f"{seed}/{index}")
        rows = sorted(fill(rng, index), key=lambda row: len(row.ids))
        cut = _cut(rows, POOL_STEPS * parts)
        # the parts of a step stay neighbours: processes that compute alike do not wait for each other
        steps = [cut[first : first + parts] for first in range(0, len(cut), parts)]
        rng.shuffle(steps)
        return [batch for step in steps for batch in step]

    def batch_at(step: int, part: int) -> dict[str, Tensor]:
        return pad_rows(pool(step // POOL_STEPS)[step % POOL_STEPS * parts + part], pad_id)

    return batch_at


def _cut(rows: list[Row], count: int) -> list[list[Row]]:
    """Splits sorted rows into `count` runs with about equally many ids each, none of them empty."""
    before = [0, *accumulate(len(row.ids) for row in rows)]
    starts = [bisect_left(before, -(-part * before[-1] // count)) for part in range(count)]
    for part in range(1, count):
        starts[part] = max(starts[part], starts[part - 1] + 1)
    for part in reversed(range(count)):
        starts[part] = min(starts[part], len(rows) - (count - part))
    return [rows[start:stop] for start, stop in pairwise([*starts, len(rows)])]
