"""Vector quantization: the nearest of `codebook_size` learned vectors stands for a continuous one."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class VectorQuantizer(nn.Module):
    """A codebook of shape (codebook_size, dim). `ar_omni.training.codebook` learns it."""

    def __init__(self, codebook_size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("codebook", torch.randn(codebook_size, dim))

    def encode(self, latents: Tensor) -> Tensor:
        """Indices of the nearest codebook vectors: (..., dim) -> int64 (...)."""
        flat = latents.reshape(-1, latents.shape[-1])
        distances = self.codebook.square().sum(1) - 2 * flat @ self.codebook.T
        return distances.argmin(1).reshape(latents.shape[:-1])

    def lookup(self, codes: Tensor) -> Tensor:
        """int64 (...) -> (..., dim)."""
        return self.codebook[codes]
