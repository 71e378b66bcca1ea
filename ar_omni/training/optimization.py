"""How weights are changed: the optimizer's groups, the schedules of its rate, and averaged weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ar_omni.errors import InputError
from ar_omni.training.muon import StackedMuon


@dataclass(frozen=True)
class LoopOptions:
    """The optimizer's settings, and what the loop does beside steps."""

    steps: int
    optimizer: str = "adamw"
    """"muon" takes Muon (Jordan et al. 2024) for the matrices of the layers, at AdamW's step sizes, and AdamW
    for all else: more learned in each step, for about a fifth more time on a CPU."""
    learning_rate: float = 1.5e-3
    layer_rate: float = 1.0
    """The rate of the layers' matrices as a share of the learning rate: where trained weights learn something
    new, embeddings that are quick and layers that are slow forget less."""
    schedule: str = "constant"
    """After the warmup: "constant" (until the decay), "linear" or "cosine" to zero."""
    warmup: int = 200
    decay: float = 0.25
    """With "constant": share of the steps, at the end, over which the rate falls linearly to zero."""
    weight_decay: float = 0.05
    clip: float = 1.0
    accumulation: int = 1
    """Batches that each process adds up to one step."""
    compile: bool = False
    """Fuse what lies between matrix products (torch.compile): a minute to begin, then half more speed."""
    activation_checkpointing: bool = False
    """Compute activations again on the way back: about a third more time for far less memory."""
    ema: float = 0.0
    """Decay of averaged weights, such as 0.999, which are exported and evaluated instead; 0: none."""
    save_every: int = 250
    keep: int = 2
    """Checkpoints to keep, the newest ones."""
    tensorboard: bool = False
    workers: int = 0
    """Processes that make batches in advance; 0: the loop makes each itself, fast enough beside a CPU."""

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise InputError(f"expected a schedule of {', '.join(SCHEDULES)}, got {self.schedule!r}")
        if self.optimizer not in OPTIMIZERS:
            raise InputError(f"expected an optimizer of {', '.join(OPTIMIZERS)}, got {self.optimizer!r}")
        for name in ("steps", "accumulation", "save_every", "keep"):
            if getattr(self, name) < 1:
                raise InputError(f"expected {name} to be at least 1, got {getattr(self, name)}")
        if self.layer_rate <= 0:
            raise InputError(f"expected layer_rate above 0, got {self.layer_rate}")
        if not 0 <= self.ema < 1:
            raise InputError(f"expected ema in [0, 1), got {self.ema}")

    def rate(self, step: int) -> float:
        """The learning rate's factor at `step`, in [0, 1]."""
        warm = min(1.0, (step + 1) / max(1, self.warmup))
        return warm * SCHEDULES[self.schedule](self, step)


def _constant(options: LoopOptions, step: int) -> float:
    return min(1.0, max(0.0, (options.steps - step) / max(1.0, options.decay * options.steps)))


def _left(options: LoopOptions, step: int) -> float:
    """The share of the steps after the warmup that is still to come."""
    return min(1.0, (options.steps - step) / max(1, options.steps - options.warmup))


SCHEDULES: Mapping[str, Callable[[LoopOptions, int], float]] = {
    "constant": _constant,
    "linear": _left,
    "cosine": lambda options, step: 0.5 - 0.5 * math.cos(math.pi * _left(options, step)),
}


def make_optimizers(module: nn.Module, options: LoopOptions) -> list[torch.optim.Optimizer]:
    """The optimizers of a module's trainable parameters, each parameter in one of them."""
    return OPTIMIZERS[options.optimizer](module, options)


def _adamw(
    module: nn.Module, options: LoopOptions, without: Collection[nn.Parameter] = ()
) -> list[torch.optim.Optimizer]:
    """Matrices decay; vectors (norms, biases) do not."""
    left_out, slow = set(without), set(_layer_matrices(module))
    parameters = [value for value in module.parameters() if value.requires_grad and value not in left_out]
    matrices = [value for value in parameters if value.ndim >= 2]
    groups = [
        {"params": [value for value in matrices if value in slow], "share": options.layer_rate},
        {"params": [value for value in matrices if value not in slow]},
        {"params": [value for value in parameters if value.ndim < 2], "weight_decay": 0.0},
    ]
    kept = [
        {"share": 1.0, "weight_decay": options.weight_decay} | group for group in groups if group["params"]
    ]
    return [torch.optim.AdamW(kept, options.learning_rate, (0.9, 0.95), fused=True)]


def _muon(module: nn.Module, options: LoopOptions) -> list[torch.optim.Optimizer]:
    matrices = _layer_matrices(module)
    group = {"params": matrices, "share": options.layer_rate}
    muon = StackedMuon([group], options.learning_rate, options.weight_decay, adjust_lr_fn="match_rms_adamw")
    return [muon, *_adamw(module, options, matrices)]


def _layer_matrices(module: nn.Module) -> list[nn.Parameter]:
    return [
        value
        for name, value in module.named_parameters()
        if value.requires_grad and value.ndim == 2 and ".layers." in name
    ]


OPTIMIZERS: Mapping[str, Callable[..., list[torch.optim.Optimizer]]] = {"adamw": _adamw, "muon": _muon}


class AveragedWeights:
    """The exponential moving average of parameters, in float32.

    Args:
        parameters: name -> parameter.
        decay: in [0, 1): how much of the average stays at each step; 0 keeps no average.
    """

    def __init__(self, parameters: Mapping[str, Tensor], decay: float) -> None:
        self.decay, self._parameters = decay, parameters if decay else {}
        self.values = {name: value.detach().clone().float() for name, value in self._parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Moves the average towards the parameters as they are now."""
        for name, value in self.values.items():
            value.lerp_(self._parameters[name].float(), 1 - self.decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the parameters have the averaged values."""
        kept = {name: value.detach().clone() for name, value in self._parameters.items()}
        self._copy(self.values)
        try:
            yield
        finally:
            self._copy(kept)

    @torch.no_grad()
    def _copy(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self._parameters.items():
            parameter.copy_(values[name])
