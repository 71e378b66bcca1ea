"""What a row is learned from is not always what it says: some of the codes so far are replaced.

A decoder that can tell the next code from the last ones needs no text to read aloud, and no name to draw by.
Where those cannot be trusted, it has to look at what was asked.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ar_omni.vocabulary import Vocabulary


def corrupted(ids: Tensor, spoken: Tensor, share: float, vocabulary: Vocabulary) -> Tensor:
    """Ids (B, T) with a share of those at `spoken`, bool (B, T), exchanged for random speech codes."""
    speech = vocabulary.speech
    chosen = spoken & (torch.rand(ids.shape, device=ids.device) < share)
    return torch.where(chosen, torch.randint_like(ids, speech.start, speech.stop), ids)


def blotted(ids: Tensor, is_image: Tensor, starts: Tensor, share: float, vocabulary: Vocabulary) -> Tensor:
    """Ids with a share of the codes of drawn pictures exchanged for codes of any picture in the batch.

    Args:
        ids: (B, T).
        is_image: which of them are picture codes, bool (B, T).
        starts: where pictures begin that are drawn, not shown, bool (B, T).
        share: the mean; half of the rows have no blots, the others up to four times the share.
        vocabulary: tells where pictures begin.
    """
    if not is_image.any():
        return ids
    places = torch.arange(ids.shape[1], device=ids.device)
    began = torch.where(ids == vocabulary.boi_id, places, 0).cummax(1).values
    drawn = is_image & starts.gather(1, began)
    shares = (torch.rand(len(ids), 1, device=ids.device) - 0.5).clamp(min=0) * 8 * share
    chosen = drawn & (torch.rand(ids.shape, device=ids.device) < shares)
    codes = ids[is_image]
    others = torch.randint(len(codes), (int(chosen.sum()),), device=ids.device)
    return ids.masked_scatter(chosen, codes[others])
