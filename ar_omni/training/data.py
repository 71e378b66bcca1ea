"""Batches as a function of the step: any step of any process can be made again from its number alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache

from torch import Tensor

from ar_omni.training.objective import pad_rows

Row = tuple[list[int], list[float]]
"""Ids of one conversation, and the loss weight of each id as a target."""


def batches(
    draw: Callable[[random.Random, float], Row], steps: int, tokens: int, processes: int, pad_id: int, seed: int = 0
) -> Callable[[int, int], dict[str, Tensor]]:
    """Makes the `batch_at(step, process)` that the training loop asks for.

    Rows are drawn in pools that serve several steps, sorted by length and cut into batches of about `tokens`
    ids, so that hardly any padding is computed and all processes have equally much to do.

    Args:
        draw: makes one row from a generator and the progress of the training in [0, 1].
        steps: length of the training, for the progress.
        tokens: ids in one batch of one process, padding included.
        processes: how many batches a step takes.
        pad_id: fills short rows.
        seed: another seed gives another order.
    """
    pool_steps = 8

    @lru_cache(maxsize=2)
    def pool(index: int) -> list[list[Row]]:
        rng = random.Random(f"{seed}/{index}")
        rows, wanted = [], pool_steps * processes * tokens
        while sum(len(ids) for ids, _ in rows) < wanted:
            rows += [draw(rng, index * pool_steps / steps) for _ in range(32)]
        rows.sort(key=lambda row: len(row[0]))
        cut = _cut(rows, pool_steps * processes)
        rng.shuffle(cut)
        return cut

    def batch_at(step: int, process: int) -> dict[str, Tensor]:
        parts = pool(step // pool_steps)
        return pad_rows(parts[step % pool_steps * processes + process], pad_id)

    return batch_at


def _cut(rows: list[Row], count: int) -> list[list[Row]]:
    """Splits sorted rows into `count` runs with about equally many ids each."""
    total = sum(len(ids) for ids, _ in rows)
    parts: list[list[Row]] = [[] for _ in range(count)]
    seen = 0
    for row in rows:
        parts[min(count - 1, seen * count // total)].append(row)
        seen += len(row[0])
    return parts
