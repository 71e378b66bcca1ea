"""Drawing, supervised: where a picture begins, which codes will it hold?

The name that is asked for decides only the first few codes of a picture; the rest follows from those. So a
small decoder learns pictures by heart long before it learns which of them a name means. From each of the
first hidden states of a picture a linear head has to tell the bag of all its codes: who read the name can.

So it also pays to read only the opening of many a picture that is drawn, which costs a quarter of the whole,
and to learn from pictures that are shown how their openings go on, which costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ar_omni.vocabulary import Vocabulary

OPENING = 16
"""States that have to tell: those of `boi` and of the first codes."""


def opening_only(input_ids: Sequence[int], weights: Sequence[float], boi_id: int) -> list[float]:
    """The loss weights of a row that ends with the first picture's opening: T weights for T ids."""
    end = input_ids.index(boi_id) + 1 + OPENING
    return [weight if place < end else 0.0 for place, weight in enumerate(weights)]


def with_shown(
    input_ids: Sequence[int], weights: Sequence[float], vocabulary: Vocabulary, weight: float
) -> list[float]:
    """The loss weights (T) of a row whose shown pictures, which weigh 0, are learned after their opening."""
    weights, since = list(weights), 0
    for place, token_id in enumerate(input_ids):
        since = 0 if token_id == vocabulary.boi_id else since + 1
        if token_id in vocabulary.image and since > OPENING and not weights[place]:
            weights[place] = weight
    return weights


def pictures_at(input_ids: Tensor, starts: Tensor, vocabulary: Vocabulary) -> Tensor:
    """The codes of the pictures whose `boi` is at `starts`, int64 (P, N); all have as many codes."""
    rows, columns = starts.nonzero(as_tuple=True)
    if not len(rows):
        return input_ids.new_zeros((0, 1))
    count = int((input_ids[rows[0], columns[0] :] == vocabulary.eoi_id).nonzero()[0, 0]) - 1
    places = columns[:, None] + 1 + torch.arange(count, device=columns.device)
    return input_ids[rows[:, None], places] - vocabulary.image.start


def opening_states(hidden: Tensor, starts: Tensor) -> Tensor:
    """The states of `boi` and the codes after it, (B, T, H) -> (P, `OPENING`, H)."""
    rows, columns = starts.nonzero(as_tuple=True)
    places = columns[:, None] + torch.arange(OPENING, device=columns.device)
    return hidden[rows[:, None], places.clamp(max=hidden.shape[1] - 1)]


def preview_loss(logits: Tensor, codes: Tensor) -> Tensor:
    """Sum over pictures of the mean cross-entropy of their codes.

    Args:
        logits: of each code, told from each opening state, (P, O, codebook_size).
        codes: of the pictures, int64 (P, N).
    """
    likely = torch.log_softmax(logits.float(), dim=-1).mean(dim=1)
    return -likely.gather(1, codes).mean(dim=1).sum()
