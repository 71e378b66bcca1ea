"""What a training takes, by calculation: memory of each GPU and days, from the shapes of the model alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from ar_omni.configuration import AROmniConfig
from ar_omni.modeling import AROmniForCausalLM

STATE_BYTES = 16
"""Of a trained parameter, in float32: weight 4, gradient 4, and AdamW's two moments 8."""
FROZEN_BYTES = 4
COMPUTE_BYTES = 2
LOGIT_BYTES = 10
"""Of one logit: 2 in bfloat16, 4 as float32, and 4 of its gradient."""


@dataclass(frozen=True)
class Sizes:
    """Parameters of a model.

    Attributes:
        total: all.
        layer: of one decoder layer.
        root: of what lies outside the layers.
    """

    total: int
    layer: int
    root: int

    @classmethod
    def of(cls, config: AROmniConfig) -> Sizes:
        """Counts on meta tensors: no memory is taken."""
        with torch.device("meta"):
            model = AROmniForCausalLM(config)
        total = sum(parameter.numel() for parameter in model.parameters())
        layer = sum(parameter.numel() for parameter in model.model.layers[0].parameters())
        return cls(total, layer, total - layer * config.num_hidden_layers)


@dataclass(frozen=True)
class Plan:
    """One way to train.

    Attributes:
        gpus: how many.
        tokens: ids on one GPU at once: `tokens_per_batch / (gpus * accumulation)`.
        tokens_per_batch: ids of a step.
        steps: of the training.
        trained: parameters that are trained; None for all.
        flops: of one GPU, a second, in bfloat16.
        utilization: share of `flops` that is reached.
    """

    gpus: int
    tokens: int
    tokens_per_batch: int
    steps: int
    trained: int | None = None
    flops: float = 989e12
    utilization: float = 0.4

    def memory(self, config: AROmniConfig) -> dict[str, float]:
        """Bytes on each GPU: states, layers at work, activations (with activation checkpointing), logits."""
        sizes = Sizes.of(config)
        if self.trained is None:  # spread over the GPUs; two layers and the root are gathered at a time
            states = STATE_BYTES * sizes.total / self.gpus
            gathered = COMPUTE_BYTES * 2 * (2 * sizes.layer + sizes.root) if self.gpus > 1 else 0
        else:  # every GPU holds all
            states = FROZEN_BYTES * sizes.total + STATE_BYTES * self.trained
            gathered = 0
        kept = config.num_hidden_layers * config.hidden_size
        inside = 16 * config.hidden_size + 4 * config.intermediate_size
        return {
            "states": states,
            "gathered": gathered + COMPUTE_BYTES * sizes.layer,
            "activations": self.tokens * (4 * kept + COMPUTE_BYTES * inside),
            "logits": self.tokens * LOGIT_BYTES * config.vocab_size,
        }

    def days(self, config: AROmniConfig) -> float:
        """6 operations a parameter and id, and a third more to compute activations again.

        With frozen weights their gradients are not computed: 4 of the 6.
        """
        operations = (6 if self.trained is None else 4) * 4 / 3
        total = operations * Sizes.of(config).total * self.tokens_per_batch * self.steps
        return total / (self.gpus * self.flops * self.utilization) / 86_400


def table(plans: Sequence[tuple[str, Plan]], config: AROmniConfig) -> Iterator[str]:
    """Lines of Markdown: a row a plan."""
    yield "| training | GPUs | states | gathered | activations | logits | GiB a GPU | days |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, plan in plans:
        memory = [size / 2**30 for size in plan.memory(config).values()]
        cells = " | ".join(f"{size:.1f}" for size in (*memory, sum(memory)))
        yield f"| {name} | {plan.gpus} | {cells} | {plan.days(config):.1f} |"
