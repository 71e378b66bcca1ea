"""From a batch of rows to the loss: one forward pass, logits only where something is learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ar_omni.training.losses import perceptual_alignment_loss, weighted_ntp_loss, z_loss
from ar_omni.vocabulary import Span


@dataclass(frozen=True)
class ObjectiveOptions:
    """Weights of the terms beside next-token prediction; 0 switches a term off."""

    perceptual: float = 0.0
    z: float = 0.0


class Objective(nn.Module):
    """Wraps the model so that data-parallel training sees one module: batch in, sums and counts out.

    Args:
        model: an `AROmniForCausalLM`; its `image_projector` is trained by the perceptual term.
        image_span: ids of image codes.
        image_embedding: the frozen image codebook E, float32 (codes, dim); only the perceptual term needs it.
        options: weights of the extra terms.
    """

    def __init__(
        self, model: nn.Module, image_span: Span, image_embedding: Tensor | None, options: ObjectiveOptions
    ) -> None:
        super().__init__()
        self.model, self.image_span, self.options = model, image_span, options
        self.register_buffer("image_embedding", image_embedding, persistent=False)
        if not options.perceptual and hasattr(model, "image_projector"):
            model.image_projector.requires_grad_(False)

    def forward(self, input_ids: Tensor, loss_weights: Tensor) -> dict[str, Tensor]:
        """Undivided sums for rows of ids, int64 (B, T), and the weight of each id as a target, float (B, T).

        Rows are padded on the right with weight 0. Returns `ntp`, `weight`, `perceptual`, `images`, `z` and
        `accuracy` (weighted count of ids that were the most probable), each a scalar.
        """
        hidden = self.model.model(input_ids=input_ids[:, :-1], use_cache=False).last_hidden_state
        targets, weights = input_ids[:, 1:], loss_weights[:, 1:]
        learned = weights > 0
        hidden, targets, weights = hidden[learned], targets[learned], weights[learned]
        logits = self.model.lm_head(hidden)
        is_image = self._is_image(targets)
        sums = {
            "ntp": weighted_ntp_loss(logits, targets, weights),
            "weight": weights.sum(),
            "images": is_image.sum().float(),
            "accuracy": (weights * (logits.argmax(-1) == targets)).sum(),
            "perceptual": hidden.new_zeros(()),
            "z": hidden.new_zeros(()),
        }
        if self.options.perceptual:
            projected = self.model.image_projector(hidden[is_image])
            sums["perceptual"] = perceptual_alignment_loss(
                projected, self.image_embedding[targets[is_image] - self.image_span.start]
            )
        if self.options.z:
            sums["z"] = z_loss(logits, weights)
        return sums

    def counts(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `total` divides by, from the batch alone: `weight` and `images` as in `forward`."""
        targets, weights = batch["input_ids"][:, 1:], batch["loss_weights"][:, 1:]
        return {"weight": weights.sum(), "images": (self._is_image(targets) & (weights > 0)).sum().float()}

    def _is_image(self, ids: Tensor) -> Tensor:
        return (ids >= self.image_span.start) & (ids < self.image_span.stop)

    def total(self, sums: dict[str, Tensor], counts: dict[str, Tensor]) -> Tensor:
        """The scalar to minimise: each sum over its count, where `counts` may span processes and batches."""
        weight = counts["weight"].clamp(min=1e-8)
        loss = sums["ntp"] / weight + self.options.z * sums["z"] / weight
        return loss + self.options.perceptual * sums["perceptual"] / counts["images"].clamp(min=1)


def pad_rows(rows: list[tuple[list[int], list[float]]], pad_id: int) -> dict[str, Tensor]:
    """Rows of (ids, weights) of any lengths -> `input_ids` int64 (B, T) and `loss_weights` float32 (B, T)."""
    length = max(len(ids) for ids, _ in rows)
    input_ids = torch.full((len(rows), length), pad_id, dtype=torch.int64)
    loss_weights = torch.zeros(len(rows), length)
    for row, (ids, weights) in enumerate(rows):
        input_ids[row, : len(ids)] = torch.tensor(ids)
        loss_weights[row, : len(weights)] = torch.tensor(weights)
    return {"input_ids": input_ids, "loss_weights": loss_weights}
