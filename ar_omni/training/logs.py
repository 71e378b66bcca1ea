"""What a run tells while it runs: moving averages for the progress bar, `log.jsonl`, and TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ar_omni.errors import import_extra


class Averages:
    """Moving averages of the loss terms."""

    def __init__(self, memory: float = 0.98) -> None:
        self.memory, self.sums = memory, {}

    def add(self, sums: Mapping[str, float]) -> None:
        """Takes in the sums of a step, as `Objective` names them."""
        for name, value in sums.items():
            self.sums[name] = self.memory * self.sums.get(name, 0.0) + (1 - self.memory) * value

    def values(self) -> dict[str, float]:
        """The terms per unit of weight, picture code or spoken code."""
        return {name: round(value, 4) for name, value in means(self.sums).items()}


def means(sums: Mapping[str, float]) -> dict[str, float]:
    """Sums of a batch, as `Objective` names them -> the losses that they mean."""
    terms = {name: sums[name] / max(sums["weight"], 1e-9) for name in ("ntp", "accuracy")}
    for name, count in (("perceptual", "images"), ("reading", "spoken"), ("preview", "pictures")):
        if sums[name]:
            terms[name] = sums[name] / max(sums[count], 1e-9)
    return terms


class Log:
    """Appends figures to `log.jsonl` in the folder of a run, and to TensorBoard if asked for."""

    def __init__(self, folder: Path, tensorboard: bool = False) -> None:
        self.path, self.writer = folder / "log.jsonl", None
        if tensorboard:
            module = import_extra("torch.utils.tensorboard", "train")
            self.writer = module.SummaryWriter(str(folder / "tensorboard"))

    def record(self, step: int, values: Mapping[str, float]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        if self.writer:
            for name, value in values.items():
                self.writer.add_scalar(name, value, step)
            self.writer.flush()
