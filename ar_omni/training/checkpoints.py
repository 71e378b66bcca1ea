"""What a training needs to go on exactly, each process writing its part, whole or not at all."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.distributed import checkpoint as distributed_checkpoint
from torch.distributed.checkpoint.api import CheckpointException

from ar_omni.errors import AROmniError, CheckpointError
from ar_omni.training.muon import StackedMuon
from ar_omni.training.optimization import AveragedWeights
from ar_omni.training.zero import is_zero, load_zero, save_zero

_NAME = re.compile(r"step-(\d{8})")


class Checkpoints:
    """The folder `checkpoints/` of a run, with one `step-........` for each of the newest steps saved.

    Only trainable weights are kept: what is frozen comes from the model that the run began with. Everything
    else of a step follows from its number: its batches, its learning rate and its random numbers.

    Args:
        folder: of the run.
        keep: how many steps to keep.
        accelerator: the processes that save and load together.
    """

    def __init__(self, folder: Path, keep: int, accelerator: Accelerator) -> None:
        self.folder, self.keep, self.accelerator = folder / "checkpoints", keep, accelerator

    def saved(self) -> list[Path]:
        """Whole checkpoints, the oldest first."""
        return sorted(path for path in self.folder.glob("step-*") if _NAME.fullmatch(path.name))

    def save(self, step: int, state: dict[str, Tensor]) -> None:
        """Writes `state`, then removes checkpoints beyond `keep`.

        Raises:
            AROmniError: it could not be written, such as on a full disk; older checkpoints are still there.
        """
        target = self.folder / f"step-{step:08d}"
        partial = target.with_suffix(".partial")
        if self.accelerator.is_main_process:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        self.accelerator.wait_for_everyone()
        try:
            with _quietly():
                if is_zero(self.accelerator):
                    save_zero(self.accelerator, partial)
                else:
                    distributed_checkpoint.save(state, checkpoint_id=partial)
        except (Exception, CheckpointException) as error:  # the writer raises errors of several kinds
            shutil.rmtree(partial, ignore_errors=True)
            raise AROmniError(
                f"expected room for a checkpoint in {self.folder}, got {_reason(error)}; the step before is "
                "still there: free some room and start again"
            ) from error
        if self.accelerator.is_main_process:
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
            for old in self.saved()[: -self.keep]:
                shutil.rmtree(old)
        self.accelerator.wait_for_everyone()

    def restore(self, state: dict[str, Tensor]) -> int:
        """Reads the newest checkpoint into the tensors of `state`; its step, or 0 if there is none.

        Raises:
            CheckpointError: a checkpoint of another model or recipe, or a damaged one.
        """
        saved = self.saved()
        if not saved:
            return 0
        try:
            with _quietly():
                if is_zero(self.accelerator):
                    load_zero(self.accelerator, saved[-1])
                else:
                    distributed_checkpoint.load(state, checkpoint_id=saved[-1])
        except (Exception, CheckpointException) as error:  # the reader raises errors of several kinds
            raise CheckpointError(
                f"expected a checkpoint of this recipe in {saved[-1]}, got {_reason(error)}; delete it to "
                "go on from the one before, or choose another work folder"
            ) from error
        return int(_NAME.fullmatch(saved[-1].name)[1])


def training_state(
    parameters: dict[str, Tensor], optimizers: Sequence[torch.optim.Optimizer], average: AveragedWeights
) -> dict[str, Tensor]:
    """Name -> tensor of everything that the steps change; moments that are not made yet are, with zeros."""
    state = {f"average/{name}": value for name, value in average.values.items()}
    names = {parameter: name for name, parameter in parameters.items()}
    for optimizer in optimizers if parameters else ():
        for parameter in (value for group in optimizer.param_groups for value in group["params"]):
            moments, name = optimizer.state[parameter], names[parameter]
            for key, first in MOMENTS[type(optimizer)].items():
                if key not in moments:
                    moments[key] = first(parameter)
                state[f"optimizer/{name}/{key}"] = moments[key]
            state[f"weights/{name}"] = parameter.detach()
    return state


def _zeros(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter, memory_format=torch.preserve_format)


def _zero(parameter: Tensor) -> Tensor:
    return torch.zeros((), device=parameter.device)


MOMENTS = {
    torch.optim.AdamW: {"exp_avg": _zeros, "exp_avg_sq": _zeros, "step": _zero},
    StackedMuon: {"momentum_buffer": _zeros},
}
"""What each optimizer remembers of a parameter, and what it begins with."""


def trainable(module: nn.Module) -> dict[str, Tensor]:
    """Name -> parameter of those that are trained, tied ones once."""
    return {name: value for name, value in module.named_parameters() if value.requires_grad}


@contextmanager
def exported(target: Path) -> Iterator[Path]:
    """A new folder beside `target` that takes its place when the block succeeds.

    Raises:
        AROmniError: it could not be written, such as on a full disk; what was in `target` is still there.
    """
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise AROmniError(
            f"expected room for {target}, got {_reason(error)}; the one before is still there: free some "
            "room, remove the newest folder of checkpoints, and start again"
        ) from error
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the word that one process is one process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
