"""The training losses: weighted next-token prediction, the perceptual alignment loss, an optional z-loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def weighted_ntp_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Sum of `w_t * CE(logits_t, target_t)`: divide by the sum of the weights that it is averaged over.

    The sum is left undivided so that micro-batches and processes add up to exactly one big batch
    (paper, Eq. 2, with the sum of the weights in place of T).

    Args:
        logits: (N, V).
        targets: int64 (N,), the next id of each position.
        weights: float (N,), 0 where nothing is learned.
    """
    return (weights * functional.cross_entropy(logits.float(), targets, reduction="none")).sum()


def perceptual_alignment_loss(projected: Tensor, targets: Tensor) -> Tensor:
    """Sum over positions of `|| W_h h_t - E[y_t] ||^2`: divide by the number of positions (paper, Eq. 3).

    Args:
        projected: W_h h_t of the positions whose *next* id is an image code, (M, D).
        targets: frozen codebook vectors of those codes, (M, D).
    """
    return (projected.float() - targets).square().sum()


def z_loss(logits: Tensor, weights: Tensor) -> Tensor:
    """Sum of `w_t * logsumexp(logits_t)^2`, which keeps logits from drifting (Chameleon, section 2.3)."""
    return (weights * torch.logsumexp(logits.float(), dim=-1).square()).sum()
