"""From a batch of rows to the loss: one forward pass, logits only where something is learned."""

from __future__ import annotations

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
    """Wraps the model so that data-parallel training sees one module: batch in, sums of losses and counts out.

    Args:
        model: an `AROmniForCausalLM`; its `image_projector` is trained by the perceptual term.
        image_span: ids of image codes.
        image_embedding: the frozen image codebook E, float32 (codes, dim).
        options: weights of the extra terms.
    """

    def __init__(self, model, image_span: Span, image_embedding: Tensor, options: ObjectiveOptions) -> None:
        super().__init__()
        self.model, self.image_span, self.options = model, image_span, options
        self.register_buffer("image_embedding", image_embedding, persistent=False)

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
        is_image = (targets >= self.image_span.start) & (targets < self.image_span.stop)
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

    def total(self, sums: dict[str, Tensor], counts: dict[str, Tensor]) -> Tensor:
        """The scalar to minimise: each sum over its count, where `counts` may span processes and micro-batches."""
        loss = sums["ntp"] / counts["weight"] + self.options.z * sums["z"] / counts["weight"]
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
