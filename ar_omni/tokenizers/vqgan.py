"""Chameleon's VQGAN: 512 x 512 pictures <-> 32 x 32 codes.

The encoder is transformers' Chameleon one and the decoder is its Janus one, with attention where this VQGAN
has it. A checkpoint may come without a decoder (folders of the Hugging Face format do): it then only encodes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import ChameleonVQVAEConfig
from transformers.models.chameleon.modeling_chameleon import ChameleonVQVAEEncoder
from transformers.models.janus.configuration_janus import JanusVQVAEConfig
from transformers.models.janus.modeling_janus import JanusVQVAEAttnBlock, JanusVQVAEDecoder

from ar_omni.errors import CheckpointError, InputError, UnsupportedOutputError
from ar_omni.media import over_white, replacing


@dataclass(frozen=True)
class VQGANConfig:
    """Widths of the network. Level 0 is the finest; each next one halves the picture's side."""

    image_size: int
    base_channels: int
    channel_multiplier: tuple[int, ...]
    encoder_blocks: int
    latent_channels: int
    embed_dim: int
    codebook_size: int
    encoder_attention: tuple[int, ...] = ()
    """Levels of the encoder with attention beside the middle's."""
    decoder_attention: tuple[int, ...] = ()
    has_decoder: bool = True

    @property
    def grid(self) -> int:
        """Codes in a row."""
        return self.image_size >> (len(self.channel_multiplier) - 1)


class VQGANNetwork(nn.Module):
    """Pixels in [-1, 1], (B, 3, S, S) <-> codes (B, grid, grid)."""

    def __init__(self, config: VQGANConfig):
        super().__init__()
        sizes = {
            "base_channels": config.base_channels,
            "channel_multiplier": list(config.channel_multiplier),
            "num_res_blocks": config.encoder_blocks,
            "latent_channels": config.latent_channels,
        }
        attention = [config.image_size >> level for level in config.encoder_attention]
        self.encoder = ChameleonVQVAEEncoder(
            ChameleonVQVAEConfig(resolution=config.image_size, attn_resolutions=attention, **sizes)
        )
        self.quant_conv = nn.Conv2d(config.latent_channels, config.embed_dim, 1)
        self.codebook = nn.Embedding(config.codebook_size, config.embed_dim)
        if config.has_decoder:
            self.post_quant_conv = nn.Conv2d(config.embed_dim, config.latent_channels, 1)
            self.decoder = JanusVQVAEDecoder(JanusVQVAEConfig(**sizes))
            _place_attention(self.decoder, config)

    def latents(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) -> latents before quantization (B, embed_dim, grid, grid)."""
        return self.quant_conv(self.encoder(pixels))

    def quantize(self, latents: Tensor) -> Tensor:
        """(B, embed_dim, grid, grid) -> the nearest codes (B, grid, grid)."""
        table = self.codebook.weight
        vectors = latents.permute(0, 2, 3, 1)
        distance = vectors.square().sum(-1, keepdim=True) + table.square().sum(1) - 2 * vectors @ table.T
        return distance.argmin(-1)

    def decode(self, codes: Tensor) -> Tensor:
        """(B, grid, grid) -> pixels (B, 3, S, S), about [-1, 1]."""
        return self.decoder(self.post_quant_conv(self.codebook(codes).permute(0, 3, 1, 2)))


class VQGANTokenizer:
    """An ImageTokenizer over a `VQGANNetwork`."""

    def __init__(self, config: VQGANConfig, network: VQGANNetwork):
        self.config = config
        self.network = network.eval().requires_grad_(False)
        self.codebook_size = config.codebook_size
        self.image_size = config.image_size
        self.codes_per_image = self.codes_per_shown_image = config.grid**2

    @classmethod
    def load(cls, folder: str | PathLike) -> VQGANTokenizer:
        """Read `config.json` and `model.safetensors` in `folder`; computes in float32.

        Raises:
            CheckpointError: a file is missing, or does not fit the other.
        """
        folder = Path(folder)
        try:
            values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            values = {field.name: values[field.name] for field in fields(VQGANConfig)}
            config = VQGANConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
            with torch.device("meta"):
                network = VQGANNetwork(config)
            weights = load_file(folder / "model.safetensors")
            network.load_state_dict({key: value.float() for key, value in weights.items()}, assign=True)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"expected a saved VQGAN in {folder}, got {reason}") from error
        return cls(config, network)

    def save(self, folder: str | PathLike) -> None:
        """Write `config.json` and `model.safetensors` into `folder`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / "model.safetensors") as path:
            save_file(self.network.state_dict(), path, metadata={"format": "pt"})
        with replacing(folder / "config.json") as path:
            values = {"type": "vqgan"} | asdict(self.config)
            path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")

    @property
    def embedding(self) -> Tensor:
        """The frozen codebook, float32 (codebook_size, embed_dim)."""
        return self.network.codebook.weight

    @property
    def device(self) -> torch.device:
        return self.network.codebook.weight.device

    def to(self, device: str | torch.device) -> VQGANTokenizer:
        """Move the network to `device`; returns itself."""
        self.network.to(device)
        return self

    @torch.inference_mode()
    def encode(self, image: Image.Image) -> np.ndarray:
        """int64 codes of shape (codes_per_image,): the picture's centre square, transparency over white."""
        pixels = np.asarray(center_square(image, self.image_size)) / 255.0 * 2 - 1
        pixels = torch.from_numpy(pixels).permute(2, 0, 1).float()[None].to(self.device)
        return self.network.quantize(self.network.latents(pixels)).flatten().cpu().numpy()

    def encode_shown(self, image: Image.Image) -> np.ndarray:
        """Those of `encode`: pictures that are shown and drawn have the same codes."""
        return self.encode(image)

    @torch.inference_mode()
    def decode(self, codes: Sequence[int]) -> Image.Image:
        """The picture of `codes_per_image` codes.

        Raises:
            InputError: another number of codes, or one outside [0, codebook_size).
            UnsupportedOutputError: the checkpoint came without the decoder.
        """
        if not self.config.has_decoder:
            raise UnsupportedOutputError(
                "expected an image tokenizer that can draw, got one without its decoder; "
                "convert the checkpoint again together with its vqgan.ckpt and vqgan.yaml"
            )
        grid = torch.as_tensor(np.asarray(codes, dtype=np.int64))
        if len(grid) != self.codes_per_image or not ((grid >= 0) & (grid < self.codebook_size)).all():
            raise InputError(
                f"expected {self.codes_per_image} image codes in [0, {self.codebook_size}), "
                f"got {len(grid)} codes"
            )
        grid = grid.reshape(1, self.config.grid, self.config.grid).to(self.device)
        pixels = self.network.decode(grid)[0].permute(1, 2, 0)
        return Image.fromarray(((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu().numpy())


def center_square(image: Image.Image, size: int) -> Image.Image:
    """RGB: the shorter side scaled to `size` pixels, then the centre square cut out."""
    image = over_white(image)
    scale = size / min(image.size)
    image = image.resize([round(scale * side) for side in image.size], Image.Resampling.LANCZOS)
    left, top = ((side - size) // 2 for side in image.size)
    return image.crop((left, top, left + size, top + size))


def _place_attention(decoder: JanusVQVAEDecoder, config: VQGANConfig) -> None:
    """Janus attends in every block of its coarsest level; here attention follows the config."""
    levels = range(len(config.channel_multiplier))
    for up, level in zip(decoder.up, reversed(levels), strict=True):
        width = config.base_channels * config.channel_multiplier[level]
        blocks = len(up.block) if level in config.decoder_attention else 0
        up.attn = nn.ModuleList(JanusVQVAEAttnBlock(width) for _ in range(blocks))
