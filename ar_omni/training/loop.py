"""One accelerate loop for every stage: batches by step number, gradient steps, checkpoints that resume exactly."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from ar_omni.training.objective import Objective

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class LoopOptions:
    """The optimizer's settings (AdamW) and when to save."""

    steps: int
    learning_rate: float = 1.5e-3
    warmup: int = 200
    decay: float = 0.25
    """Share of the steps, at the end, over which the rate falls linearly to zero; before it is constant."""
    weight_decay: float = 0.05
    clip: float = 1.0
    save_every: int = 250

    def rate(self, step: int) -> float:
        """The learning rate's factor at `step`: warm up, stay, decay."""
        warm = min(1.0, (step + 1) / max(1, self.warmup))
        left = (self.steps - step) / max(1.0, self.decay * self.steps)
        return warm * min(1.0, max(0.0, left))


def train(
    objective: Objective,
    batch_at: Callable[[int, int], Batch],
    options: LoopOptions,
    folder: Path,
    accelerator: Accelerator,
    on_save: Callable[[torch.nn.Module, int], None] = lambda model, step: None,
) -> None:
    """Runs to `options.steps`, from the newest checkpoint under `folder` if there is one.

    `batch_at(step, process)` must depend on its arguments alone: that is what makes resuming exact without any
    reader state. Sums of the loss are divided by counts over all processes, so two processes with half a batch
    each take the step that one process takes with the whole.
    """
    optimizer = torch.optim.AdamW(_groups(objective, options), lr=options.learning_rate, betas=(0.9, 0.95), fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, options.rate)
    wrapped, optimizer = accelerator.prepare(objective, optimizer)
    start = _resume(folder, objective, optimizer, schedule)
    wrapped.train()
    bar = tqdm(range(start, options.steps), initial=start, total=options.steps, mininterval=10, disable=not accelerator.is_main_process)
    log = _Averages()
    for step in bar:
        sums = wrapped(**batch_at(step, accelerator.process_index))
        counts = accelerator.reduce({name: value.detach() for name, value in sums.items()}, reduction="sum")
        loss = objective.total(sums, counts) * accelerator.num_processes  # the gradient is averaged over processes
        optimizer.zero_grad(set_to_none=True)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(objective.parameters(), options.clip)
        optimizer.step()
        schedule.step()
        log.add(counts)
        if step % 10 == 0:
            bar.set_postfix(log.values(), refresh=False)
        if (step + 1) % options.save_every == 0 or step + 1 == options.steps:
            accelerator.wait_for_everyone()
            if accelerator.is_main_process:
                _save(folder, objective, optimizer, schedule, step + 1)
                _record(folder, step + 1, log.values())
                on_save(objective.model, step + 1)
    wrapped.eval()


def _groups(objective: Objective, options: LoopOptions) -> list[dict]:
    """Matrices decay; vectors (norms, biases) do not."""
    parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in parameters if parameter.ndim >= 2]
    vectors = [parameter for parameter in parameters if parameter.ndim < 2]
    return [{"params": matrices, "weight_decay": options.weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def _resume(folder: Path, objective: Objective, optimizer, schedule) -> int:
    path = folder / "checkpoint.pt"
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    objective.model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict({**schedule.state_dict(), **state["schedule"]})
    return state["step"]


def _save(folder: Path, objective: Objective, optimizer, schedule, step: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        "step": step,
        "model": objective.model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": {"last_epoch": schedule.state_dict()["last_epoch"]},
    }
    torch.save(state, folder / "checkpoint.partial")
    (folder / "checkpoint.partial").rename(folder / "checkpoint.pt")


def _record(folder: Path, step: int, values: Mapping[str, str]) -> None:
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, **{name: float(value) for name, value in values.items()}}) + "\n")


class _Averages:
    """Moving averages of the loss terms, for the progress bar and the log."""

    def __init__(self, memory: float = 0.98) -> None:
        self.memory, self.sums = memory, {}

    def add(self, counts: Mapping[str, Tensor]) -> None:
        for name, value in counts.items():
            self.sums[name] = self.memory * self.sums.get(name, 0.0) + (1 - self.memory) * float(value)

    def values(self) -> dict[str, str]:
        weight = self.sums["weight"]
        terms = {"ntp": self.sums["ntp"] / weight, "accuracy": self.sums["accuracy"] / weight}
        if self.sums["perceptual"]:
            terms["perceptual"] = self.sums["perceptual"] / max(self.sums["images"], 1e-9)
        return {name: f"{value:.4f}" for name, value in terms.items()}
