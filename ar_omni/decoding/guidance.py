"""Classifier-free guidance: extra rows of the batch, alive only inside a picture."""

from __future__ import annotations

from collections.abc import Sequence as Seq

from torch import Tensor

from ar_omni.decoding.cache import Sequence


class Guidance:
    """The branches that see less of the prompt than the row they guide.

    Args:
        prompts: what the branches read before boi: one without the user's input, and before it, when the
            prompt holds pictures, one that keeps those.
        scale: guidance towards the whole prompt; 1 is none.
        image_scale: guidance towards the prompt's pictures.
    """

    def __init__(self, prompts: Seq[list[int]], scale: float, image_scale: float = 1.0):
        neutral = scale == 1 and (image_scale == 1 or len(prompts) < 2)
        self._prompts = [] if neutral else list(prompts)
        self._scales = (scale, image_scale)
        self.branches: list[Sequence] = []

    def open(self, opener: int) -> None:
        """A picture begins: the branches are their prompts and its boi."""
        self.branches = [Sequence([*prompt, opener]) for prompt in self._prompts]

    def push(self, token_id: int) -> None:
        for branch in self.branches:
            branch.ids.append(token_id)

    def close(self) -> None:
        """The picture ends."""
        self.branches = []

    def combine(self, scores: Tensor) -> Tensor:
        """(1 + branches, n) logits, the row's own first -> (n,) guided logits."""
        if len(scores) == 1:
            return scores[0]
        scale, image_scale = self._scales
        full, none = scores[0], scores[-1]
        if len(scores) == 2:
            return none + scale * (full - none)
        image = scores[1]
        return none + image_scale * (image - none) + scale * (full - image)
