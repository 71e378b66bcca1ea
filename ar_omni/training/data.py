"""Batches as a function of the step: any step of any process can be made again from its number alone."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import lru_cache
from heapq import heapreplace
from itertools import accumulate, pairwise

from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ar_omni.errors import AROmniError
from ar_omni.training.objective import Row, pack_rows

Batch = dict[str, Tensor]
Group = list[Row]
POOL_STEPS = 8
"""Steps whose rows are drawn together, so that rows of like length can be put together."""


def batches(
    draw: Callable[[random.Random, float], Row],
    steps: int,
    tokens: int,
    parts: int,
    pad_id: int,
    seed: int = 0,
) -> Callable[[int, int], Batch]:
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
        while sum(row.reach for row in rows) < wanted:
            rows += [draw(rng, index * POOL_STEPS / steps) for _ in range(32)]
        return rows

    return pooled(fill, parts, pad_id, seed)


def pooled(
    fill: Callable[[random.Random, int], list[Row]], parts: int, pad_id: int, seed: int = 0, packed: int = 0
) -> Callable[[int, int], Batch]:
    """Makes `batch_at(step, part)` from pools of rows that serve `POOL_STEPS` steps each.

    The rows of a pool, or the groups of them that share one, are sorted by length and cut into batches of
    about equally many ids, so that hardly any padding is computed and all processes have equally much to do.

    Args:
        fill: the rows of a pool, at least one for each batch, from a generator and the pool's number.
        parts: how many batches a step takes: processes times accumulation.
        pad_id: fills short rows.
        seed: another seed gives another order.
        packed: ids in one row of a batch, which several rows of the pool share; 0: none is shared.
    """
    count = POOL_STEPS * parts

    @lru_cache(maxsize=2)
    def pool(index: int) -> list[list[Group]]:
        rng = random.Random(f"{seed}/{index}")
        cut = _cut(sorted(_groups(fill(rng, index), packed, count), key=_size), count)
        # the parts of a step stay neighbours: processes that compute alike do not wait for each other
        steps = [cut[first : first + parts] for first in range(0, len(cut), parts)]
        rng.shuffle(steps)
        return [batch for step in steps for batch in step]

    def batch_at(step: int, part: int) -> Batch:
        return pack_rows(pool(step // POOL_STEPS)[step % POOL_STEPS * parts + part], pad_id)

    return batch_at


def ahead(
    batch_at: Callable[[int, int], Batch], steps: range, parts: range, workers: int = 0
) -> Iterator[list[Batch]]:
    """The batches of each step, one for each of `parts`.

    Args:
        batch_at: makes one, from the step and the part.
        steps: one after the other.
        parts: what this process computes of a step.
        workers: forked processes that make batches in advance, for a device that is faster than what one
            process makes; 0: each step's are made when it is asked for.

    Raises:
        AROmniError: what `batch_at` raised, in a worker, too.
    """
    if not workers:
        yield from ([batch_at(step, part) for part in parts] for step in steps)
        return
    pools = _Pools(batch_at, steps, parts)
    for made in DataLoader(pools, batch_size=None, num_workers=workers, multiprocessing_context="fork"):
        if isinstance(made, AROmniError):
            raise made
        yield from made


class _Pools(Dataset):
    """Item i is the batches of all steps that the i-th pool serves: no two workers draw the same rows."""

    def __init__(self, batch_at: Callable[[int, int], Batch], steps: range, parts: range) -> None:
        self.batch_at, self.steps, self.parts = batch_at, steps, parts
        self.first = steps.start // POOL_STEPS

    def __len__(self) -> int:
        return -(-self.steps.stop // POOL_STEPS) - self.first if self.steps else 0

    def __getitem__(self, index: int) -> list[list[Batch]] | AROmniError:
        """An error is handed over as it is: raised here, a loader would wrap its line in a traceback."""
        start = (self.first + index) * POOL_STEPS
        steps = range(max(start, self.steps.start), min(start + POOL_STEPS, self.steps.stop))
        try:
            return [[self.batch_at(step, part) for part in self.parts] for step in steps]
        except AROmniError as error:
            return error


def _groups(rows: list[Row], length: int, least: int) -> list[Group]:
    """Which rows share one: at least `least` groups, as few as hold `length` ids each, evenly filled."""
    longest_first = sorted(rows, key=lambda row: -len(row.ids))
    count = max(least, _size(rows) // length) if length else len(rows)
    while count < len(rows):
        groups: list[Group] = [[] for _ in range(count)]
        filled = [(0, group) for group in range(count)]  # a heap: the emptiest group takes the next row
        for row in longest_first:
            ids, group = filled[0]
            groups[group].append(row)
            heapreplace(filled, (ids + len(row.ids), group))
        if max(filled)[0] <= length:
            return groups
        count += 1 + count // 100
    return [[row] for row in rows]


def _size(group: Group) -> int:
    """Ids that are read of a group: of its last row, as far as something is learned."""
    *whole, last = group
    return sum(len(row.ids) for row in whole) + last.reach


def _cut(groups: list[Group], count: int) -> list[list[Group]]:
    """Splits sorted groups into `count` runs with about equally many ids each, none of them empty."""
    before = [0, *accumulate(map(_size, groups))]
    starts = [bisect_left(before, -(-part * before[-1] // count)) for part in range(count)]
    for part in range(1, count):
        starts[part] = max(starts[part], starts[part - 1] + 1)
    for part in reversed(range(count)):
        starts[part] = min(starts[part], len(groups) - (count - part))
    return [groups[start:stop] for start, stop in pairwise([*starts, len(groups)])]
