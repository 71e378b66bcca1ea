"""The published training arithmetic, to compare with and to read the published data; nothing here trains by
default.

It differs from the package's own objective (`ar_omni.training.losses`) on purpose: the perceptual loss pairs
a hidden state with the image code at its own position, which it has already read, and averages over
dimensions; a response's tail leaves every eos out of its weight; the task and the response's length travel in
the first label.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ar_omni.errors import InputError
from ar_omni.training.losses import perceptual_alignment_loss, weighted_ntp_loss

IGNORED = -100
META_BASE = 2048
MAX_LENGTH = 1299
TASKS = (
    "image_caption",
    "speech_to_text",
    "text_to_image",
    "text_to_speech",
    "image_to_text",
    "speech_to_image",
    "text_to_text",
)
WEIGHTED_TASKS = ("image_caption", "speech_to_text")
"""Tasks whose response's tail weighs more in pretraining."""


def pack_meta(task: str, response_length: int) -> int:
    """A task and the length of its response as the one number that the first label holds."""
    if task not in TASKS:
        raise InputError(f"expected a task of {', '.join(TASKS)}, got {task!r}")
    return (TASKS.index(task) + 1) * META_BASE + response_length


def unpack_meta(label: int) -> tuple[int, int]:
    """(index into `TASKS`, response length); an ignored label gives (-2, 1948), which is no task."""
    return label // META_BASE - 1, label % META_BASE


def read_shards(
    paths: Iterable[str | PathLike], skip_shards: int = 0, skip_samples: int = 0
) -> Iterator[dict[str, Any]]:
    """Items of published `.jsonl` shards, those of 1 to 1299 ids, as {"id", "task", "ids", "response"}.

    Args:
        paths: the shards, in order.
        skip_shards: shards to pass over.
        skip_samples: raw lines of the first shard read to pass over, kept or not; a number beyond its end
            does not reach into the next one.
    """
    for number, path in enumerate(list(paths)[skip_shards:]):
        with Path(path).open(encoding="utf-8") as lines:
            for line_number, line in enumerate(lines):
                if number == 0 and line_number < skip_samples:
                    continue
                item = json.loads(line)
                ids = item.get("discrete_code") or []
                if 1 <= len(ids) <= MAX_LENGTH:
                    yield {
                        "id": item.get("id"),
                        "task": item["task"],
                        "ids": ids,
                        "response": len(item.get("response") or []),
                    }


def collate(samples: Sequence[Mapping[str, Any]], pad_id: int) -> dict[str, Tensor]:
    """Samples of "ids" and either "labels" (fine-tuning) or "task" and "response" (pretraining) -> one batch.

    Returns:
        `input_ids`, `labels` and `attention_mask`, int64 (B, T). In pretraining every id is a label, and the
        first label of a row is `pack_meta(task, response)`.
    """
    length = max(len(sample["ids"]) for sample in samples)
    batch = {
        "input_ids": torch.full((len(samples), length), pad_id),
        "labels": torch.full((len(samples), length), IGNORED),
        "attention_mask": torch.zeros(len(samples), length, dtype=torch.int64),
    }
    for row, sample in enumerate(samples):
        ids = list(sample["ids"])
        labels = sample.get("labels")
        if labels is None:
            labels = [pack_meta(sample["task"], sample["response"]), *ids[1:]]
        batch["input_ids"][row, : len(ids)] = torch.tensor(ids)
        batch["labels"][row, : len(ids)] = torch.tensor(labels)
        batch["attention_mask"][row, : len(ids)] = 1
    return batch


def response_tail(
    labels: Tensor, tasks: Sequence[str | None], responses: Sequence[int], eos_id: int | None
) -> Tensor:
    """Which targets of each row are its response: its last `responses[row]` targets that are not `eos_id`.

    Args:
        labels: (B, T), `IGNORED` where nothing is learned.
        tasks: B names; only `WEIGHTED_TASKS` have a tail.
        responses: B lengths; longer than the row counts as the whole row.
        eos_id: left out wherever it stands; None leaves nothing out.

    Returns:
        bool (B, T - 1), aligned with the targets `labels[:, 1:]`.
    """
    targets = labels[:, 1:]
    counted = (targets != IGNORED) & (targets != (IGNORED if eos_id is None else eos_id))
    from_end = counted.flip(1).cumsum(1).flip(1)
    weighted = torch.tensor([task in WEIGHTED_TASKS for task in tasks], device=labels.device)
    lengths = torch.tensor(list(responses), device=labels.device)
    return counted & (from_end <= lengths[:, None]) & weighted[:, None]


def inside_segments(input_ids: Tensor, start_id: int, end_id: int) -> Tensor:
    """bool (B, T): ids strictly between a `start_id` and the next `end_id` that no earlier start took."""
    inside = torch.zeros_like(input_ids, dtype=torch.bool)
    for row, ids in enumerate(input_ids.tolist()):
        ends = iter([place for place, i in enumerate(ids) if i == end_id])
        for start in (place for place, i in enumerate(ids) if i == start_id):
            end = next((end for end in ends if end > start), None)
            if end is None:
                break
            inside[row, start + 1 : end] = True
    return inside


def target_weights(labels: Tensor, heavy: Tensor, weight: float) -> Tensor:
    """float (B, T - 1): `weight` where `heavy` (B, T - 1), else 1; 0 where the target is ignored."""
    return torch.where(heavy, weight, 1.0) * (labels[:, 1:] != IGNORED)


def ntp_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean of the next-token losses; 0 if every target is ignored.

    Args:
        logits: (B, T, V).
        labels: (B, T).
        weights: (B, T - 1), of `target_weights`.
    """
    targets = labels[:, 1:].flatten().clamp(min=0)
    total = weighted_ntp_loss(logits[:, :-1].flatten(0, 1), targets, weights.flatten())
    return total / weights.sum().clamp(min=1e-8)


def image_starts(labels: Tensor, rows: Iterable[int], boi_id: int, codes: int) -> list[tuple[int, int]]:
    """(row, place) of each `boi_id` among the labels of `rows` that a whole image could follow within the
    batch.

    Pretraining looks at its text-to-image rows, fine-tuning at all rows: an image of the prompt has no
    labels.
    """
    return [
        (row, place)
        for row in rows
        for place in (labels[row] == boi_id).nonzero().flatten().tolist()
        if place + codes < labels.shape[1]
    ]


def perceptual_loss(
    hidden: Tensor,
    input_ids: Tensor,
    starts: Sequence[tuple[int, int]],
    projector: Callable[[Tensor], Tensor],
    embedding: Tensor,
    image_start_id: int,
    codes: int = 1024,
) -> Tensor:
    """The mean over codes and dimensions of (W h_t - E[x_t])^2, x_t being the code at the *same* position.

    Args:
        hidden: last hidden states (B, T, H).
        input_ids: (B, T).
        starts: of `image_starts`.
        projector: W, H -> D; in bfloat16 it repeats the published precision.
        embedding: E, (codebook_size, D).
        image_start_id: the id of image code 0.
        codes: of one image.

    Raises:
        InputError: a span holds an id that is no image code.
    """
    rows = [hidden[row, place + 1 : place + 1 + codes] for row, place in starts]
    if not rows:
        return hidden.new_zeros(())
    ids = torch.cat([input_ids[row, place + 1 : place + 1 + codes] for row, place in starts])
    chosen = ids.long() - image_start_id
    if not ((chosen >= 0) & (chosen < len(embedding))).all():
        raise InputError("expected whole images after every <boi>, got an id that is no image code in one")
    targets = embedding[chosen].float()
    return perceptual_alignment_loss(projector(torch.cat(rows)), targets) / targets.numel()
