"""Context parallelism: a group of processes reads one batch together, each a part of every row.

accelerate spreads the rows and lets torch's ring attention see all of them (CUDA, FSDP2). What is here
prepares the batch: each id has to be paired with the next one before rows are cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn.functional import pad

from ar_omni.errors import InputError
from ar_omni.training.reading import UNKNOWN

if TYPE_CHECKING:
    from ar_omni.training.objective import Objective


def group_size(accelerator: Accelerator) -> int:
    """Processes that read one batch together."""
    return accelerator.parallelism_config.cp_size if accelerator.parallelism_config else 1


def readers(accelerator: Accelerator) -> int:
    """Batches that are read at once: the processes, or the groups of them."""
    return accelerator.num_processes // group_size(accelerator)


def reader(accelerator: Accelerator) -> int:
    """Which of these batches this process reads; a group's processes have consecutive numbers."""
    return accelerator.process_index // group_size(accelerator)


@contextmanager
def spread(
    accelerator: Accelerator, objective: Objective, batch: Mapping[str, Tensor]
) -> Iterator[Mapping[str, Tensor]]:
    """The arguments of `Objective.forward`: the batch, or this process's part of it, backward included.

    Raises:
        InputError: the objective looks at whole pictures, or rows hold several conversations.
    """
    size = group_size(accelerator)
    if size == 1:
        yield batch
        return
    if objective.options.preview:
        raise InputError(
            "expected a recipe without preview for context parallelism, which cuts pictures apart"
        )
    if "position_ids" in batch:
        raise InputError(
            "expected a recipe without packing for context parallelism, which attends to whole rows"
        )
    columns = aligned(objective, batch, 2 * size)  # torch cuts a row into two pieces a process
    tensors = list(columns.values())
    with accelerator.maybe_context_parallel(tensors, [1] * len(tensors), set(tensors)):
        yield columns


def aligned(objective: Objective, batch: Mapping[str, Tensor], multiple: int) -> dict[str, Tensor]:
    """A batch (B, T) with what is read at each place beside what comes next: (B, n * multiple), n minimal."""
    seen = objective.seen(batch["input_ids"], batch["reading"], batch["loss_weights"])
    columns = {name: values[:, 1:] for name, values in batch.items()} | {"seen": seen}
    short = -seen.shape[1] % multiple
    columns = {
        name: pad(values, (0, short), value=UNKNOWN if name == "reading" else 0).clone()
        for name, values in columns.items()
    }
    places = torch.arange(seen.shape[1] + short, device=seen.device)
    return columns | {"position_ids": places.expand(len(seen), -1).contiguous()}
