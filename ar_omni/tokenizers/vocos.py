"""WavTokenizer's vocoder, a Vocos: codebook vectors -> ConvNeXt backbone -> inverse STFT -> samples."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUPS = 32
EPS = 1e-6
MAX_MAGNITUDE = 100.0


class ResidualBlock(nn.Module):
    """(B, C, T) -> (B, C, T): two group-normalised convolutions of width 3 beside an identity."""

    def __init__(self, dim: int):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(GROUPS, dim, eps=EPS), nn.GroupNorm(GROUPS, dim, eps=EPS)
        self.conv1, self.conv2 = nn.Conv1d(dim, dim, 3, padding=1), nn.Conv1d(dim, dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(hidden)))


class AttentionBlock(nn.Module):
    """(B, C, T) -> (B, C, T): one head of full attention over time, projections by 1x1 convolutions."""

    def __init__(self, dim: int):
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, dim, eps=EPS)
        self.q, self.k, self.v, self.proj_out = (nn.Conv1d(dim, dim, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.norm(x)
        query, key, value = (layer(hidden).transpose(1, 2) for layer in (self.q, self.k, self.v))
        return x + self.proj_out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2))


class AdaptiveLayerNorm(nn.Module):
    """(B, T, C) -> (B, T, C): layer norm whose scale and shift are the table row of a bandwidth."""

    def __init__(self, rows: int, dim: int):
        super().__init__()
        self.scale, self.shift = nn.Embedding(rows, dim), nn.Embedding(rows, dim)

    def forward(self, x: Tensor, row: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], eps=EPS) * self.scale(row) + self.shift(row)


class ConvNeXtBlock(nn.Module):
    """(B, C, T) -> (B, C, T): depthwise convolution, norm, two pointwise layers, layer scale, residual."""

    def __init__(self, dim: int, intermediate_dim: int, rows: int):
        super().__init__()
        self.dwconv = nn.Conv1d(dim, dim, 7, padding=3, groups=dim)
        self.norm = AdaptiveLayerNorm(rows, dim)
        self.pwconv1, self.pwconv2 = nn.Linear(dim, intermediate_dim), nn.Linear(intermediate_dim, dim)
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor, row: Tensor) -> Tensor:
        hidden = self.norm(self.dwconv(x).transpose(1, 2), row)
        hidden = self.gamma * self.pwconv2(F.gelu(self.pwconv1(hidden)))
        return x + hidden.transpose(1, 2)


class Backbone(nn.Module):
    """Codebook vectors (B, C_in, F) -> features (B, F, dim). `pos_net` looks at the whole clip at once."""

    def __init__(self, input_dim: int, dim: int, intermediate_dim: int, num_layers: int, rows: int):
        super().__init__()
        self.embed = nn.Conv1d(input_dim, dim, 7, padding=3)
        self.pos_net = nn.Sequential(
            ResidualBlock(dim),
            ResidualBlock(dim),
            AttentionBlock(dim),
            ResidualBlock(dim),
            ResidualBlock(dim),
            nn.GroupNorm(GROUPS, dim, eps=EPS),
        )
        self.norm = AdaptiveLayerNorm(rows, dim)
        self.convnext = nn.ModuleList(ConvNeXtBlock(dim, intermediate_dim, rows) for _ in range(num_layers))
        self.final_layer_norm = nn.LayerNorm(dim, eps=EPS)

    def forward(self, x: Tensor, row: Tensor) -> Tensor:
        x = self.norm(self.pos_net(self.embed(x)).transpose(1, 2), row).transpose(1, 2)
        for block in self.convnext:
            x = block(x, row)
        return self.final_layer_norm(x.transpose(1, 2))


class ISTFTHead(nn.Module):
    """Features (B, F, dim) -> samples (B, F * hop_length) by a predicted spectrum ("same" padding)."""

    def __init__(self, dim: int, n_fft: int, hop_length: int):
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length
        self.out = nn.Linear(dim, n_fft + 2)
        self.window = nn.Buffer(torch.hann_window(n_fft))

    def forward(self, x: Tensor) -> Tensor:
        log_magnitude, phase = self.out(x).transpose(1, 2).chunk(2, dim=1)
        spectrum = torch.polar(log_magnitude.exp().clamp(max=MAX_MAGNITUDE), phase)
        frames = torch.fft.irfft(spectrum, self.n_fft, dim=1) * self.window[None, :, None]
        samples = self._overlap_add(frames)
        envelope = self._overlap_add(self.window.square()[None, :, None].expand(1, -1, frames.shape[-1]))
        return samples / envelope

    def _overlap_add(self, frames: Tensor) -> Tensor:
        """(B, n_fft, F) -> (B, F * hop_length): overlapping frames summed, the padding of "same" cut off."""
        trim = (self.n_fft - self.hop_length) // 2
        length = (frames.shape[-1] - 1) * self.hop_length + self.n_fft
        summed = F.fold(frames, (1, length), (1, self.n_fft), stride=(1, self.hop_length))
        return summed[:, 0, 0, trim : length - trim]


class Vocoder(nn.Module):
    """Codebook vectors (B, C_in, F) and the id of a bandwidth's norm row -> samples (B, F * hop_length)."""

    def __init__(
        self,
        input_dim: int,
        dim: int,
        intermediate_dim: int,
        num_layers: int,
        rows: int,
        n_fft: int,
        hop_length: int,
    ):
        super().__init__()
        self.backbone = Backbone(input_dim, dim, intermediate_dim, num_layers, rows)
        self.head = ISTFTHead(dim, n_fft, hop_length)

    def forward(self, vectors: Tensor, bandwidth_id: int = 0) -> Tensor:
        row = torch.tensor([bandwidth_id], device=vectors.device)
        return self.head(self.backbone(vectors, row))
