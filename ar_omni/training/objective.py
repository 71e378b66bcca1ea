"""From a batch of rows to the loss: one forward pass, logits only where something is learned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ar_omni.training.losses import perceptual_alignment_loss, weighted_ntp_loss, z_loss
from ar_omni.training.noise import blotted, corrupted
from ar_omni.training.preview import opening_states, pictures_at, preview_loss
from ar_omni.training.reading import UNKNOWN
from ar_omni.vocabulary import Vocabulary


@dataclass(frozen=True)
class ObjectiveOptions:
    """Weights of the terms beside next-token prediction; 0 switches a term off."""

    perceptual: float = 0.0
    z: float = 0.0
    reading: float = 0.0
    """Of telling letters while reading aloud and listening; see `ar_omni.training.reading`."""
    preview: float = 0.0
    """Of telling, while a picture begins, which codes it will hold; see `ar_omni.training.preview`."""
    corruption: float = 0.0
    """Share of the codes so far that are replaced by random ones: while reading aloud the text, not what was
    just said, has to tell what comes next; while listening it is noise."""
    blots: float = 0.0
    """Share of the codes so far of a picture that is drawn that are replaced by other pictures' codes: what
    is asked for, not what was just drawn, has to tell what comes next. Half of the pictures have none."""


class Row(NamedTuple):
    """One conversation: T ids, the loss weight of each as a target, and its reading target or none at all."""

    ids: Sequence[int]
    weights: Sequence[float]
    reading: Sequence[int] = ()

    @property
    def reach(self) -> int:
        """Ids up to the last one from which something is learned: what a model has to read of the row."""
        for place in reversed(range(len(self.weights))):
            if self.weights[place] > 0 or (self.reading and self.reading[place] != UNKNOWN):
                return place + 1
        return 1


class Objective(nn.Module):
    """Wraps the model so that data-parallel training sees one module: batch in, sums and counts out.

    Args:
        model: an `AROmniForCausalLM`; its `image_projector` is trained by the perceptual term.
        vocabulary: spans of the image and speech codes.
        image_embedding: the frozen image codebook E, float32 (codes, dim); only the perceptual term needs it.
        options: weights of the extra terms.
    """

    def __init__(
        self,
        model: nn.Module,
        vocabulary: Vocabulary,
        image_embedding: Tensor | None,
        options: ObjectiveOptions,
    ) -> None:
        super().__init__()
        self.model, self.vocabulary, self.options = model, vocabulary, options
        self.register_buffer("image_embedding", image_embedding, persistent=False)
        self._no_split_modules = [type(model.model.layers[0]).__name__]  # what FSDP spreads at a time
        if options.reading:
            self.reader = nn.Linear(model.config.hidden_size, model.config.vocab_size, bias=False)
        if options.preview:
            self.previewer = nn.Linear(model.config.hidden_size, len(vocabulary.image), bias=False)
        if not options.perceptual and hasattr(model, "image_projector"):
            model.image_projector.requires_grad_(False)

    def forward(
        self,
        input_ids: Tensor,
        loss_weights: Tensor,
        reading: Tensor,
        seen: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Undivided sums for rows of ids, int64 (B, T), the weight of each id as a target, float (B, T), and
        its reading target, int64 (B, T). Where a row holds several conversations, `position_ids` (B, T) begin
        again with each, and none attends to another. Where rows are spread over processes, `seen` (B, T) is
        what is read at each place, and the others, but `position_ids`, are of what comes next.

        Rows are padded on the right with weight 0. Returns scalars: the terms `ntp`, `perceptual`, `z`,
        `reading` and `preview`, the counts `weight`, `images`, `spoken` and `pictures`, and `accuracy`
        (weighted count of ids that were the most probable).
        """
        targets, weights = input_ids, loss_weights
        if seen is None:
            seen = self.seen(input_ids, reading, loss_weights)
            targets, weights, reading = targets[:, 1:], weights[:, 1:], reading[:, 1:]
            reach = self.reach(weights, reading)
            seen, targets, weights, reading = (
                values[:, :reach] for values in (seen, targets, weights, reading)
            )
            position_ids = None if position_ids is None else position_ids[:, :reach]
        mask = self._mask(seen, position_ids)
        decoded = self.model.model(seen, attention_mask=mask, position_ids=position_ids, use_cache=False)
        hidden = decoded.last_hidden_state
        told = self._told(hidden, reading)
        starts = self._starts(seen, weights)
        foreseen = self._foreseen(hidden, input_ids, starts)
        hidden, targets, weights = _where(weights > 0, hidden, targets, weights)
        logits = self.model.lm_head(hidden)
        is_image = self._is_image(targets)
        sums = {
            "ntp": weighted_ntp_loss(logits, targets, weights),
            "weight": weights.sum(),
            "images": is_image.sum().float(),
            "accuracy": (weights * (logits.argmax(-1) == targets)).sum(),
            "perceptual": hidden.new_zeros(()),
            "z": hidden.new_zeros(()),
            "reading": told,
            "spoken": (reading != UNKNOWN).sum().float(),
            "preview": foreseen,
            "pictures": starts.sum().float(),
        }
        if self.options.perceptual:
            pictured, codes = _where(is_image, hidden, targets - self.vocabulary.image.start)
            projected = self.model.image_projector(pictured)
            sums["perceptual"] = perceptual_alignment_loss(projected, self.image_embedding[codes])
        if self.options.z:
            sums["z"] = z_loss(logits, weights)
        return sums

    def counts(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `total` divides by, from the batch alone: the counts of `forward`."""
        targets, weights = batch["input_ids"][:, 1:], batch["loss_weights"][:, 1:]
        return {
            "weight": weights.sum(),
            "images": (self._is_image(targets) & (weights > 0)).sum().float(),
            "spoken": (batch["reading"][:, 1:] != UNKNOWN).sum().float(),
            "pictures": self._starts(batch["input_ids"][:, :-1], weights).sum().float(),
        }

    @staticmethod
    def reach(weights: Tensor, reading: Tensor) -> int:
        """Columns of (B, T) up to the last one that is learned from: the model need not read any further."""
        columns = ((weights > 0) | (reading != UNKNOWN)).any(0).nonzero()
        return int(columns[-1]) + 1 if len(columns) else 1

    def seen(self, ids: Tensor, reading: Tensor, weights: Tensor) -> Tensor:
        """What of the ids (B, T) is read, (B, T - 1): with a share of the codes that letters are told from
        exchanged for random ones, and of the codes of drawn pictures for others'."""
        ids, reading, weights = ids[:, :-1], reading[:, :-1], weights[:, 1:]
        if self.options.corruption:
            ids = corrupted(ids, reading != UNKNOWN, self.options.corruption, self.vocabulary)
        if self.options.blots:
            starts = self._starts(ids, weights)
            ids = blotted(ids, self._is_image(ids), starts, self.options.blots, self.vocabulary)
        return ids

    def _mask(self, seen: Tensor, position_ids: Tensor | None) -> Tensor | None:
        """The causal mask for eager attention, which otherwise compares integers at each place of each layer:
        compiled for a CPU, that takes several times as long as its softmax. Other kinds of attention find
        from the positions where conversations begin."""
        if self.model.config._attn_implementation != "eager":
            return None
        rows, columns = seen.shape
        hidden = torch.ones(columns, columns, dtype=torch.bool, device=seen.device).triu(1)
        if position_ids is not None:
            conversation = (position_ids == 0).cumsum(1)
            hidden = hidden | (conversation[:, :, None] != conversation[:, None])
        mask = torch.zeros(hidden.shape, device=seen.device).masked_fill(hidden, -torch.inf)
        return mask.expand(rows, columns, columns)[:, None]

    def _told(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Sum of the cross-entropies of the letters that the reader tells."""
        if not self.options.reading:
            return hidden.new_zeros(())
        hidden, targets = _where(targets != UNKNOWN, hidden, targets)
        return functional.cross_entropy(self.reader(hidden), targets, reduction="sum")

    def _starts(self, seen: Tensor, weights: Tensor) -> Tensor:
        """Where a picture begins that is learned, bool (B, T - 1)."""
        return (seen == self.vocabulary.boi_id) & (weights > 0)

    def _foreseen(self, hidden: Tensor, input_ids: Tensor, starts: Tensor) -> Tensor:
        """Sum over the pictures of the cross-entropy of their codes, told from where they begin."""
        if not self.options.preview:
            return hidden.new_zeros(())
        codes = pictures_at(input_ids, starts, self.vocabulary)
        opening = opening_states(hidden, starts)[:, : codes.shape[1]]  # what comes after is no picture
        return preview_loss(self.previewer(opening), codes)

    def _is_image(self, ids: Tensor) -> Tensor:
        span = self.vocabulary.image
        return (ids >= span.start) & (ids < span.stop)

    def total(self, sums: dict[str, Tensor], counts: dict[str, Tensor]) -> Tensor:
        """The scalar to minimise: each sum over its count, where `counts` may span processes and batches."""
        weight = counts["weight"].clamp(min=1e-8)
        loss = sums["ntp"] / weight + self.options.z * sums["z"] / weight
        loss = loss + self.options.preview * sums["preview"] / counts["pictures"].clamp(min=1)
        loss = loss + self.options.reading * sums["reading"] / counts["spoken"].clamp(min=1)
        return loss + self.options.perceptual * sums["perceptual"] / counts["images"].clamp(min=1)


def _where(chosen: Tensor, *values: Tensor) -> Iterator[Tensor]:
    """Each of `values` (*S, ...) at the places that are `chosen`, bool (*S): a GPU is asked once how many."""
    places = chosen.flatten().nonzero()[:, 0]
    return (value.flatten(0, chosen.ndim - 1).index_select(0, places) for value in values)


def pad_rows(rows: Sequence[Row], pad_id: int) -> dict[str, Tensor]:
    """Rows of any lengths -> a batch with one of them in each of its rows."""
    return pack_rows([[row] for row in rows], pad_id)


def pack_rows(groups: Sequence[Sequence[Row]], pad_id: int) -> dict[str, Tensor]:
    """Groups of rows, each after the other in one row of the batch -> `input_ids` int64, `loss_weights`
    float32 and `reading` int64, each (B, T), and `position_ids` int64 (B, T) if any group has several.

    No row learns what the next one in its group begins with.
    """
    shape = len(groups), max(sum(len(row.ids) for row in group) for group in groups)
    batch = {
        "input_ids": torch.full(shape, pad_id, dtype=torch.int64),
        "loss_weights": torch.zeros(shape),
        "reading": torch.full(shape, UNKNOWN, dtype=torch.int64),
    }
    positions = torch.arange(shape[1]).repeat(len(groups), 1)
    for index, group in enumerate(groups):
        start = 0
        for row in group:
            for column, values in zip(batch.values(), row, strict=True):
                column[index, start : start + len(values)] = torch.tensor(values)
            batch["loss_weights"][index, start], batch["reading"][index, start] = 0.0, UNKNOWN
            positions[index, start:] = torch.arange(shape[1] - start)
            start += len(row.ids)
    return batch if all(len(group) == 1 for group in groups) else batch | {"position_ids": positions}
