"""nano's image tokenizer: a small convolutional VQ autoencoder, 96 x 96 pixels <-> 12 x 12 codes.

With a semantic encoder beside it, pictures that are shown are read by that one, in fewer codes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from ar_omni.errors import InputError
from ar_omni.tokenizers.quantizer import VectorQuantizer
from ar_omni.tokenizers.semantic import SemanticConfig, SemanticEncoder

if TYPE_CHECKING:
    from collections.abc import Iterable

SEMANTIC_NAME = "semantic.safetensors"


@dataclass(frozen=True)
class ImageTokenizerConfig:
    """Shape of the network. Codes lie on a grid of `image_size / (patch * stride)` rows and columns."""

    image_size: int = 96
    patch: int = 4
    stride: int = 2
    codebook_size: int = 1024
    code_dim: int = 32
    fine_width: int = 64
    coarse_width: int = 192
    encoder_blocks: int = 2
    decoder_blocks: int = 3

    @property
    def grid(self) -> int:
        return self.image_size // (self.patch * self.stride)


class ResidualBlock(nn.Module):
    """x + Conv(SiLU(Conv(SiLU(x)))), all at the same width: (B, C, H, W) -> (B, C, H, W).

    It needs no normalisation, because it begins as the identity.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        nn.init.zeros_(self.convs[1].weight)
        nn.init.zeros_(self.convs[1].bias)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for conv in self.convs:
            y = conv(functional.silu(y))
        return x + y


def _blocks(width: int, count: int) -> Iterable[nn.Module]:
    return (ResidualBlock(width) for _ in range(count))


class ImageAutoencoder(nn.Module):
    """Pixels in [-1, 1] (B, 3, S, S) <-> latents (B, G, G, code_dim), through a codebook."""

    def __init__(self, config: ImageTokenizerConfig) -> None:
        super().__init__()
        fine, coarse, pixels = config.fine_width, config.coarse_width, 3 * config.patch**2
        self.quantizer = VectorQuantizer(config.codebook_size, config.code_dim)
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(config.patch),
            nn.Conv2d(pixels, fine, 3, padding=1),
            *_blocks(fine, config.encoder_blocks),
            nn.PixelUnshuffle(config.stride),
            nn.Conv2d(fine * config.stride**2, coarse, 1),
            *_blocks(coarse, config.encoder_blocks),
            nn.SiLU(),
            nn.Conv2d(coarse, config.code_dim, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(config.code_dim, coarse, 3, padding=1),
            *_blocks(coarse, config.decoder_blocks),
            nn.Conv2d(coarse, fine * config.stride**2, 1),
            nn.PixelShuffle(config.stride),
            *_blocks(fine, config.decoder_blocks),
            nn.SiLU(),
            nn.Conv2d(fine, pixels, 3, padding=1),
            nn.PixelShuffle(config.patch),
        )

    def encode(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) -> latents before quantization (B, G, G, code_dim)."""
        return self.encoder(pixels).permute(0, 2, 3, 1)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, G, G, code_dim) -> (B, 3, S, S), about [-1, 1]."""
        return self.decoder(latents.permute(0, 3, 1, 2))


class NanoImageTokenizer:
    """Pictures <-> raster-ordered codes, as `ar_omni.tokenizers.base.ImageTokenizer` asks.

    Args:
        config: shape of `network`.
        network: the autoencoder.
        semantic: reads pictures that are shown; without it `network` does.
    """

    def __init__(
        self,
        config: ImageTokenizerConfig,
        network: ImageAutoencoder,
        semantic: SemanticEncoder | None = None,
    ) -> None:
        self.config = config
        self.network = network.eval().requires_grad_(False)
        self.semantic = semantic
        self.codebook_size = config.codebook_size
        self.image_size = config.image_size
        self.codes_per_image = config.grid**2
        self.codes_per_shown_image = semantic.config.codes if semantic else self.codes_per_image

    @property
    def embedding(self) -> Tensor:
        """The frozen codebook, float32 (codebook_size, code_dim)."""
        return self.network.quantizer.codebook

    @torch.inference_mode()
    def encode(self, image: Image.Image) -> np.ndarray:
        """Codes of a picture of any size, int64 (codes_per_image,); it is fitted into a white square."""
        latents = self.network.encode(_pixels(image, self.image_size))
        return self.network.quantizer.encode(latents).flatten().numpy()

    @torch.inference_mode()
    def encode_shown(self, image: Image.Image) -> np.ndarray:
        """Codes of what a picture of any size shows, int64 (codes_per_shown_image,)."""
        if self.semantic is None:
            return self.encode(image)
        return self.semantic.encode(_pixels(image, self.semantic.config.image_size))[0].numpy()

    @torch.inference_mode()
    def decode(self, codes: Sequence[int]) -> Image.Image:
        """The picture of `codes_per_image` codes.

        Raises:
            InputError: another number of codes, or one outside [0, codebook_size).
        """
        grid = torch.as_tensor(np.asarray(codes, dtype=np.int64))
        if len(grid) != self.codes_per_image or not ((grid >= 0) & (grid < self.codebook_size)).all():
            raise InputError(
                f"expected {self.codes_per_image} image codes in [0, {self.codebook_size}), got {len(grid)}"
            )
        grid = grid.reshape(1, self.config.grid, self.config.grid)
        pixels = self.network.decode(self.network.quantizer.lookup(grid))[0].permute(1, 2, 0)
        return Image.fromarray(((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy())

    def save(self, folder: str | PathLike) -> None:
        """Writes `config.json`, `model.safetensors` (weights in half precision) and `SEMANTIC_NAME`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        values = {"type": "nano_image", **asdict(self.config)}
        if self.semantic:
            values["semantic"] = asdict(self.semantic.config)
            self.semantic.save(folder / SEMANTIC_NAME)
        (folder / "config.json").write_text(json.dumps(values, indent=2) + "\n")
        save_file(
            {key: value.half().contiguous() for key, value in self.network.state_dict().items()},
            folder / "model.safetensors",
        )

    @classmethod
    def load(cls, folder: str | PathLike) -> NanoImageTokenizer:
        """Reads what `save` wrote; computes in float32."""
        values = json.loads((Path(folder) / "config.json").read_text())
        values.pop("type")
        seen = values.pop("semantic", None)
        config = ImageTokenizerConfig(**values)
        network = ImageAutoencoder(config)
        weights = load_file(Path(folder) / "model.safetensors")
        network.load_state_dict({key: value.float() for key, value in weights.items()}, assign=True)
        semantic = seen and SemanticEncoder.load(Path(folder) / SEMANTIC_NAME, SemanticConfig(**seen))
        return cls(config, network, semantic)


def _pixels(image: Image.Image, size: int) -> Tensor:
    """A picture fitted into a white square: float32 (1, 3, size, size) in [-1, 1]."""
    pixels = np.asarray(fit_square(image, size), dtype=np.float32) / 127.5 - 1
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def fit_square(image: Image.Image, size: int) -> Image.Image:
    """The whole picture, aspect kept, centred on a white square of `size` pixels."""
    image = image.convert("RGB")
    scale = size / max(image.size)
    image = image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)
    square = Image.new("RGB", (size, size), "white")
    square.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
    return square
