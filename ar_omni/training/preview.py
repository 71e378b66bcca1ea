"""Drawing, supervised: where a picture begins, which codes will it hold?

The name that is asked for decides only the first few codes of a picture; the rest follows from those. So a
small decoder learns pictures by heart long before it learns which of them a name means. From each of the
first hidden states of a picture a linear head has to tell the bag of all its codes: who read the name can.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ar_omni.vocabulary import Vocabulary

OPENING = 16
"""States that have to tell: those of `boi` and of the first codes."""


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
