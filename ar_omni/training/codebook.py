"""Learning a codebook: moving averages of what each code stands for, and new life for unused ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ar_omni.tokenizers.quantizer import VectorQuantizer


class CodebookLearner(nn.Module):
    """Trains `quantizer.codebook` in place (VQ-VAE, van den Oord et al. 2017, appendix A.1).

    A code that is chosen less than `revive_below` times a step on average is moved onto a latent of the
    current batch, so that all of them stay in use.
    """

    def __init__(self, quantizer: VectorQuantizer, decay: float = 0.99, revive_below: float = 0.05) -> None:
        super().__init__()
        size = len(quantizer.codebook)
        self.decay, self.revive_below = decay, revive_below
        self.register_buffer("codebook", quantizer.codebook)
        self.register_buffer("counts", torch.zeros(size))
        self.register_buffer("sums", torch.zeros_like(quantizer.codebook))
        self.encode, self.lookup = quantizer.encode, quantizer.lookup

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(..., dim) -> straight-through quantized latents, their codes (...), and the commitment loss."""
        with torch.autocast(latents.device.type, enabled=False):  # half precision would blur who is nearest
            latents = latents.float()
            codes = self.encode(latents.detach())
            if self.training:
                self._update(latents.detach().flatten(0, -2), codes.flatten())
            quantized = self.lookup(codes)
        commitment = (latents - quantized).square().mean()
        return latents + (quantized - latents).detach(), codes, commitment

    @torch.no_grad()
    def _update(self, latents: Tensor, codes: Tensor) -> None:
        counts = torch.bincount(codes, minlength=len(self.counts)).float()
        sums = torch.zeros_like(self.sums).index_add_(0, codes, latents)
        self.counts.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        dead = (self.counts < self.revive_below).nonzero().flatten()[: len(latents) // 4]
        if len(dead):
            chosen = latents[torch.randperm(len(latents))[: len(dead)]]
            self.counts[dead] = 2 * self.revive_below
            self.sums[dead] = chosen * 2 * self.revive_below
        self.codebook.copy_(self.sums / self.counts.clamp(min=1e-6)[:, None])
