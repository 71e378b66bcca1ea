"""The network of nano's speech codec: an encoder that sees both ways, a causal decoder that streams.

Encoder: 80 log-mel frames a second, ConvNeXt blocks, one strided step to 40 latents a second.
Decoder: causal ConvNeXt blocks at 40 and 80 frames a second, then a spectrum for each frame and overlap-add
(the ISTFT head of Vocos, Siuzdak 2023). All its memory is an explicit list of tensors, so decoding piece by
piece and decoding at once are the same computation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ar_omni.tokenizers.quantizer import VectorQuantizer

State = list[Tensor]


@dataclass(frozen=True)
class SpeechTokenizerConfig:
    """Shape of the codec. One code stands for `hop_length` = 2 x `frame_hop` samples."""

    sample_rate: int = 24_000
    frame_hop: int = 300
    window: int = 1200
    mels: int = 80
    codebook_size: int = 1024
    code_dim: int = 32
    encoder_width: int = 192
    encoder_blocks: tuple[int, int] = (1, 4)
    decoder_widths: tuple[int, int] = (320, 224)
    decoder_blocks: tuple[int, int] = (4, 3)

    @property
    def hop_length(self) -> int:
        return 2 * self.frame_hop


class CausalConv1d(nn.Conv1d):
    """(B, C, T) -> (B, C', T), looking at the last `kernel_size` frames; `past` holds all but one of them."""

    def forward(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        width = self.kernel_size[0] - 1
        if past is None:
            past = x.new_zeros(x.shape[0], x.shape[1], width)
        x = torch.cat([past, x], dim=-1)
        return super().forward(x), x[..., x.shape[-1] - width :]


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, then an MLP over channels, added to the input: (B, C, T) -> (B, C, T)."""

    def __init__(self, width: int, causal: bool, kernel: int = 7) -> None:
        super().__init__()
        if causal:
            self.depthwise = CausalConv1d(width, width, kernel, groups=width)
        else:
            self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 3 * width)
        self.down = nn.Linear(3 * width, width)
        nn.init.normal_(self.down.weight, std=0.02)

    def mix(self, x: Tensor, y: Tensor) -> Tensor:
        """Adds to x the MLP of the convolved y."""
        return x + self.down(functional.gelu(self.up(self.norm(y.transpose(1, 2))))).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(x, self.depthwise(x))

    def step(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        y, past = self.depthwise(x, past)
        return self.mix(x, y), past


class Encoder(nn.Module):
    """Samples (B, N) -> latents (B, ceil(N / hop_length), code_dim)."""

    def __init__(self, config: SpeechTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.encoder_width
        self.register_buffer("mel_filters", torch.zeros(config.mels, config.window // 2 + 1))
        self.register_buffer("hann", torch.hann_window(config.window), persistent=False)
        self.stem = nn.Conv1d(config.mels, width, 5, padding=2)
        self.fine = nn.Sequential(
            *(ConvNeXtBlock(width, causal=False) for _ in range(config.encoder_blocks[0]))
        )
        self.halve = nn.Conv1d(width, width, 2, stride=2)
        self.coarse = nn.Sequential(
            *(ConvNeXtBlock(width, causal=False) for _ in range(config.encoder_blocks[1]))
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, config.code_dim)

    def forward(self, samples: Tensor) -> Tensor:
        x = self.coarse(self.halve(self.fine(self.stem(self.log_mel(samples)))))
        return self.out(self.norm(x.transpose(1, 2)))

    def log_mel(self, samples: Tensor) -> Tensor:
        """(B, N) -> (B, mels, 2 * ceil(N / hop_length)), roughly in [-2, 2]."""
        config = self.config
        frames = 2 * -(-samples.shape[-1] // config.hop_length)
        margin = (config.window - config.frame_hop) // 2
        padded = functional.pad(samples, (margin, frames * config.frame_hop - samples.shape[-1] + margin))
        spectrum = torch.stft(
            padded, config.window, config.frame_hop, window=self.hann, center=False, return_complex=True
        )
        return (torch.log(self.mel_filters @ spectrum.abs().square() + 1e-5) + 4) / 4


class Decoder(nn.Module):
    """Latents (B, T, code_dim) -> samples, with all memory in a list of tensors that the caller holds."""

    def __init__(self, config: SpeechTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        coarse, fine = config.decoder_widths
        self.stem = CausalConv1d(config.code_dim, coarse, 3)
        self.coarse = nn.ModuleList(
            ConvNeXtBlock(coarse, causal=True) for _ in range(config.decoder_blocks[0])
        )
        self.upsample = nn.Linear(coarse, 2 * fine)
        self.fine = nn.ModuleList(ConvNeXtBlock(fine, causal=True) for _ in range(config.decoder_blocks[1]))
        self.norm = nn.LayerNorm(fine)
        self.head = nn.Linear(fine, config.window + 2)
        self.register_buffer("hann", torch.hann_window(config.window), persistent=False)

    @property
    def delay(self) -> int:
        """Samples that stay unfinished until the next frame comes, or until the end."""
        return (self.config.window - self.config.frame_hop) // 2

    def forward(self, latents: Tensor) -> Tensor:
        """All at once: (B, T, code_dim) -> (B, T * hop_length)."""
        samples, state = self.step(latents, None)
        return torch.cat([samples, self.finish(state)], dim=-1)

    def step(self, latents: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The samples (B, n) that these latents complete, and the state to go on with."""
        pasts = iter(state[1:]) if state else iter(())
        new_state: State = []
        x, past = self.stem(latents.transpose(1, 2), next(pasts, None))
        new_state.append(past)
        for block in self.coarse:
            x, past = block.step(x, next(pasts, None))
            new_state.append(past)
        batch, _, frames = x.shape
        x = self.upsample(x.transpose(1, 2)).reshape(batch, 2 * frames, -1).transpose(1, 2)
        for block in self.fine:
            x, past = block.step(x, next(pasts, None))
            new_state.append(past)
        samples, overlap = self._overlap_add(
            self.head(self.norm(x.transpose(1, 2))), state[0] if state else None
        )
        return samples, [overlap, *new_state]

    def finish(self, state: State) -> Tensor:
        """The samples (B, delay) that only the end completes."""
        return state[0][:, : self.delay]

    def _overlap_add(self, spectra: Tensor, overlap: Tensor | None) -> tuple[Tensor, Tensor]:
        """Spectra (B, F, window + 2) -> finished samples, and the window - hop unfinished ones.

        A frame's window begins `delay` samples before the frame, so the very first call drops that many. Four
        Hann windows overlap everywhere: the sum of their squares is 1.5.
        """
        config = self.config
        magnitude, phase = spectra.float().chunk(2, dim=-1)
        spectrum = torch.polar(torch.exp(magnitude.clamp(max=6)), phase)
        frames = torch.fft.irfft(spectrum, config.window) * self.hann / 1.5
        length = (frames.shape[1] - 1) * config.frame_hop + config.window
        summed = functional.fold(
            frames.transpose(1, 2), (1, length), (1, config.window), stride=(1, config.frame_hop)
        )[:, 0, 0]
        done = frames.shape[1] * config.frame_hop
        if overlap is None:
            return summed[:, self.delay : done], summed[:, done:]
        summed = summed + functional.pad(overlap, (0, length - overlap.shape[-1]))
        return summed[:, :done], summed[:, done:]


class SpeechCodec(nn.Module):
    """Encoder, codebook and decoder."""

    def __init__(self, config: SpeechTokenizerConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.quantizer = VectorQuantizer(config.codebook_size, config.code_dim)
        self.decoder = Decoder(config)
