"""Scores of the legal ids -> one of them."""

from __future__ import annotations

import torch
from torch import Tensor

from ar_omni.decoding.options import StateOptions
from ar_omni.errors import CheckpointError


def penalise(scores: Tensor, used: Tensor, penalty: float) -> Tensor:
    """Divide the odds of what was used before: positive scores by `penalty`, negative ones times it.

    Args:
        scores: (n,) logits; changed in place.
        used: indices into them.
        penalty: 1 or more.
    """
    old = scores[used]
    scores[used] = torch.where(old > 0, old / penalty, old * penalty)
    return scores


def shape(scores: Tensor, options: StateOptions) -> Tensor:
    """Temperature, then top-k, then top-p: (n,) logits -> (n,) logits, -inf for what is left out."""
    if options.temperature != 1:
        scores = scores / options.temperature
    if 0 < options.top_k < scores.numel():
        least = scores.topk(options.top_k).values[-1]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if options.top_p < 1:
        ordered, order = scores.sort(descending=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
        scores = scores.index_fill(0, order[before >= options.top_p], -torch.inf)
    return scores


class Sampler:
    """Draws by an exponential race, argmax(p / Exp(1)), from a stream of random numbers of its own.

    Two samplers of one seed draw alike whatever runs beside them: a row of a batch does what it does alone.

    Args:
        seed: of the random stream.
        device: where the scores are.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu"):
        self._generator = torch.Generator(device).manual_seed(seed)

    def __call__(self, scores: Tensor, options: StateOptions) -> int:
        """The index of the chosen score in (n,) logits.

        Raises:
            CheckpointError: the chosen score is NaN.
        """
        if options.strategy == "sample":
            scores = shape(scores, options)
            race = torch.empty_like(scores, dtype=torch.float32).exponential_(generator=self._generator)
            scores = scores.float() - race.log()
        best, index = scores.max(-1)
        if best.isnan():
            raise CheckpointError(
                "expected finite logits, got NaN; the weights are damaged, or overflow the dtype they run in"
            )
        return int(index)
