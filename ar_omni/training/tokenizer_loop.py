"""The loop that trains either tokenizer: random batches, Adam, and checkpoints that resume exactly."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ar_omni.training.precision import autocast


@dataclass(frozen=True)
class Budget:
    """How long to train: `steps`, with a cosine from `learning_rate` to `floor` of it after a warmup."""

    steps: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    floor: float = 0.1
    warmup: int = 100
    save_every: int = 300

    def rate(self, step: int) -> float:
        """Learning rate factor at `step`, in [0, 1]."""
        warm = min(1.0, (step + 1) / self.warmup)
        cosine = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * min(1.0, step / self.steps))).item())
        return warm * (self.floor + (1 - self.floor) * cosine)


def fit(
    model: nn.Module, losses: Callable[[int], dict[str, Tensor]], budget: Budget, checkpoint: Path
) -> None:
    """Minimises the sum of `losses(step)` over `model`'s parameters, going on from `checkpoint` if it exists.

    `losses` draws its own batch from torch's global generator, whose state is saved too: a killed run that is
    started again takes exactly the steps it would have taken.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=budget.learning_rate,
        betas=(0.9, 0.95),
        weight_decay=budget.weight_decay,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, budget.rate)
    start = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        start = state["step"]
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["rng"])
    averages: dict[str, float] = {}
    bar = tqdm(range(start, budget.steps), initial=start, total=budget.steps, mininterval=10)
    model.train()
    for step in bar:
        with autocast():
            parts = losses(step)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(parts.values())).sum().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        for name, value in parts.items():
            averages[name] = 0.98 * averages.get(name, value.item()) + 0.02 * value.item()
        if step % 20 == 0:
            bar.set_postfix({name: f"{value:.3f}" for name, value in averages.items()}, refresh=False)
        if (step + 1) % budget.save_every == 0 or step + 1 == budget.steps:
            save(checkpoint, model, optimizer, schedule, step + 1)
    model.eval()


def save(checkpoint: Path, model: nn.Module, optimizer, schedule, step: int) -> None:
    """Writes everything that an exact continuation needs, atomically."""
    state = {
        "step": step,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "rng": torch.get_rng_state(),
        "time": time.time(),
    }
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, checkpoint.with_suffix(".partial"))
    checkpoint.with_suffix(".partial").rename(checkpoint)
