"""Training of the image tokenizer: pixels and their gradients at several scales."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ar_omni.tokenizers.image import ImageAutoencoder, ImageTokenizerConfig
from ar_omni.training.codebook import CodebookLearner


class ImageTokenizerTrainer(nn.Module):
    """Holds the autoencoder and the codebook's averages; `losses(pixels)` is one step's objective."""

    def __init__(self, config: ImageTokenizerConfig) -> None:
        super().__init__()
        self.network = ImageAutoencoder(config).to(memory_format=torch.channels_last)
        self.codebook = CodebookLearner(self.network.quantizer)

    def losses(self, pixels: Tensor) -> dict[str, Tensor]:
        """Weighted terms for pixels (B, 3, S, S) in [-1, 1]."""
        quantized, _, commitment = self.codebook(self.network.encode(pixels))
        restored = self.network.decode(quantized)
        return {"pixels": pixel_loss(restored, pixels), "commitment": 0.25 * commitment}


class ImageDecoderTrainer(nn.Module):
    """Lets the decoder of a trained autoencoder learn on, while its codes stay what they are."""

    def __init__(self, network: ImageAutoencoder) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last).requires_grad_(False)
        self.network.decoder.requires_grad_(True)

    def losses(self, pixels: Tensor) -> dict[str, Tensor]:
        """The one term for pixels (B, 3, S, S) in [-1, 1]."""
        quantizer = self.network.quantizer
        with torch.no_grad(), torch.autocast(pixels.device.type, enabled=False):  # codes as they are read
            latents = quantizer.lookup(quantizer.encode(self.network.encode(pixels)))
        return {"pixels": pixel_loss(self.network.decode(latents), pixels)}


def pixel_loss(restored: Tensor, pixels: Tensor, scales: int = 3) -> Tensor:
    """L1 + L2 of the values and L1 of their differences between neighbours, averaged over halved scales."""
    total = restored.new_zeros(())
    for scale in range(scales):
        error = restored - pixels
        total = total + error.abs().mean() + error.square().mean()
        total = total + error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
        if scale < scales - 1:
            restored, pixels = functional.avg_pool2d(restored, 2), functional.avg_pool2d(pixels, 2)
    return total / scales


def psnr(restored: Tensor, pixels: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each picture, for values in [-1, 1]: (B, 3, S, S) -> (B,)."""
    error = (restored.clamp(-1, 1) - pixels).square().mean((1, 2, 3))
    return 10 * torch.log10(4 / error)
