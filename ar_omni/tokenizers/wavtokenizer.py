"""WavTokenizer: 24 kHz speech as one codebook of acoustic codes (SEANet encoder, VQ, Vocos decoder).

Its decoder looks at the whole clip (normalisation over time, full attention), so streaming decodes windows:
a chunk is decoded with `context` frames before it and `lookahead` frames after it and cut out of the result.
What comes out is close to the offline decoding, not equal to it; a clip that fits into one window is equal.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers import EncodecConfig
from transformers.models.encodec.modeling_encodec import EncodecEncoder

from ar_omni.errors import CheckpointError, InputError
from ar_omni.media import Audio, replacing
from ar_omni.tokenizers.resample import sinc_resample
from ar_omni.tokenizers.vocos import Vocoder

FADE_PARTS = 5
"""The crossfade at a seam is this part of a frame: 5 ms at 40 frames a second."""


@dataclass(frozen=True)
class WavTokenizerConfig:
    """Widths of the network, and how its stream cuts windows (in frames)."""

    sample_rate: int
    codebook_size: int
    codebook_dim: int
    encoder_filters: int
    strides: tuple[int, ...]
    """Of the encoder, first layer first; their product is the hop length in samples."""
    lstm_layers: int
    dim: int
    intermediate_dim: int
    num_layers: int
    bandwidths: int
    """Rows of the decoder's norm tables."""
    n_fft: int
    bandwidth_id: int = 0
    """The row that decodes."""
    context: int = 96
    lookahead: int = 48
    chunk: int = 16


class WavTokenizerNetwork(nn.Module):
    """Encoder, codebook and vocoder; weight norm is folded into plain weights."""

    def __init__(self, config: WavTokenizerConfig):
        super().__init__()
        hop_length = int(np.prod(config.strides))
        self.encoder = _plain_encoder(config)
        self.codebook = nn.Embedding(config.codebook_size, config.codebook_dim)
        self.vocoder = Vocoder(
            config.codebook_dim,
            config.dim,
            config.intermediate_dim,
            config.num_layers,
            config.bandwidths,
            config.n_fft,
            hop_length,
        )

    def encode(self, samples: Tensor) -> Tensor:
        """Samples (B, T) -> codes (B, ceil(T / hop_length)): the nearest codebook vectors."""
        vectors = self.encoder(samples[:, None]).transpose(1, 2)
        table = self.codebook.weight
        nearness = 2 * vectors @ table.T - table.square().sum(dim=1)
        return nearness.argmax(dim=-1)

    def decode(self, codes: Tensor, bandwidth_id: int) -> Tensor:
        """Codes (B, F) -> samples (B, F * hop_length)."""
        return self.vocoder(self.codebook(codes).transpose(1, 2), bandwidth_id)


class WavTokenizer:
    """A SpeechTokenizer over a `WavTokenizerNetwork`."""

    def __init__(self, config: WavTokenizerConfig, network: WavTokenizerNetwork):
        self.config = config
        self.network = network.eval().requires_grad_(False)
        self.codebook_size = config.codebook_size
        self.sample_rate = config.sample_rate
        self.hop_length = int(np.prod(config.strides))
        self.frame_rate = config.sample_rate / self.hop_length

    @classmethod
    def load(cls, folder: str | PathLike) -> WavTokenizer:
        """Read `config.json` and `model.safetensors` in `folder`.

        Raises:
            CheckpointError: a file is missing, or does not fit the other.
        """
        folder = Path(folder)
        try:
            values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            values = {field.name: values[field.name] for field in fields(WavTokenizerConfig)}
            config = WavTokenizerConfig(**values | {"strides": tuple(values["strides"])})
            network = WavTokenizerNetwork(config)
            network.load_state_dict(load_file(folder / "model.safetensors"))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"expected a saved WavTokenizer in {folder}, got {reason}") from error
        return cls(config, network)

    def save(self, folder: str | PathLike) -> None:
        """Write `config.json` and `model.safetensors` into `folder`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / "model.safetensors") as path:
            save_file(self.network.state_dict(), path, metadata={"format": "pt"})
        with replacing(folder / "config.json") as path:
            values = {"type": "wavtokenizer"} | asdict(self.config)
            path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")

    @property
    def device(self) -> torch.device:
        return self.network.codebook.weight.device

    def to(self, device: str | torch.device) -> WavTokenizer:
        """Move the network to `device`; returns itself."""
        self.network.to(device)
        return self

    @torch.inference_mode()
    def encode(self, audio: Audio) -> np.ndarray:
        """int64 codes of shape (ceil(T / hop_length),) of the audio at 24 kHz."""
        if not len(audio.samples):
            raise InputError("expected a recording with sound in it, got an empty one")
        samples = torch.from_numpy(audio.samples).to(self.device)
        samples = sinc_resample(samples, audio.sample_rate, self.sample_rate)
        return self.network.encode(samples[None])[0].cpu().numpy()

    def decode(self, codes: Sequence[int]) -> Audio:
        """Offline decoding: `hop_length` samples for each code.

        Raises:
            InputError: a code outside [0, codebook_size).
        """
        return Audio(self.decode_window(self.check_codes(codes)), self.sample_rate)

    def streamer(
        self, context: int | None = None, lookahead: int | None = None, chunk: int | None = None
    ) -> WavTokenizerStream:
        """A windowed decoder; frames not given come from the config. A chunk waits for `lookahead` frames."""
        config = self.config
        return WavTokenizerStream(
            self,
            config.context if context is None else context,
            config.lookahead if lookahead is None else lookahead,
            config.chunk if chunk is None else chunk,
        )

    @torch.inference_mode()
    def decode_window(self, codes: Sequence[int]) -> np.ndarray:
        """Checked codes (F,) -> float32 samples (F * hop_length,) in [-1, 1]."""
        if not len(codes):
            return np.zeros(0, dtype=np.float32)
        ids = torch.as_tensor(codes, dtype=torch.long, device=self.device)
        samples = self.network.decode(ids[None], self.config.bandwidth_id)[0]
        return samples.clamp(-1.0, 1.0).float().cpu().numpy()

    def check_codes(self, codes: Sequence[int]) -> list[int]:
        """The codes as a list, if all of them are in the codebook."""
        codes = [int(code) for code in codes]
        if codes and not 0 <= min(codes) <= max(codes) < self.codebook_size:
            raise InputError(
                f"expected speech codes in [0, {self.codebook_size}), got {min(codes)}..{max(codes)}"
            )
        return codes


class WavTokenizerStream:
    """Decodes codes as they come, chunk by chunk; a short crossfade joins neighbouring windows."""

    def __init__(self, tokenizer: WavTokenizer, context: int, lookahead: int, chunk: int):
        if context < 0 or lookahead < 1 or chunk < 1:
            raise InputError(
                "expected context >= 0, lookahead >= 1 and chunk >= 1 frames, "
                f"got {context}, {lookahead} and {chunk}"
            )
        self._tokenizer = tokenizer
        self._context, self._lookahead, self._chunk = context, lookahead, chunk
        self._past: list[int] = []
        self._pending: list[int] = []
        self._tail = np.zeros(0, dtype=np.float32)

    def push(self, codes: Sequence[int]) -> np.ndarray:
        """float32 samples (n,) of the chunks whose look-ahead is now complete; may be empty."""
        self._pending += self._tokenizer.check_codes(codes)
        pieces = [np.zeros(0, dtype=np.float32)]
        while len(self._pending) >= self._chunk + self._lookahead:
            pieces.append(self._emit(self._chunk))
        return np.concatenate(pieces)

    def flush(self) -> np.ndarray:
        """float32 samples (n,) of all that is still held back."""
        return self._emit(len(self._pending)) if self._pending else np.zeros(0, dtype=np.float32)

    def _emit(self, frames: int) -> np.ndarray:
        """Decode the next `frames` pending frames within their window and drop them from it."""
        hop = self._tokenizer.hop_length
        window = self._past + self._pending[: frames + self._lookahead]
        start = len(self._past) * hop
        stop = start + frames * hop
        samples = self._tokenizer.decode_window(window)
        piece = _crossfade(self._tail, samples[start:stop])
        self._tail = samples[stop : stop + hop // FADE_PARTS]
        past = self._past + self._pending[:frames]
        self._past = past[max(0, len(past) - self._context) :]
        self._pending = self._pending[frames:]
        return piece


def _crossfade(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """`new`, whose first samples fade in from what the window before thought they were."""
    length = min(len(old), len(new))
    ramp = (np.arange(length, dtype=np.float32) + 1) / (length + 1)
    return np.concatenate([old[:length] * (1 - ramp) + new[:length] * ramp, new[length:]])


def _plain_encoder(config: WavTokenizerConfig) -> EncodecEncoder:
    """EnCodec's SEANet encoder of these widths, non-causal, with plain instead of weight-normed layers."""
    encoder = EncodecEncoder(
        EncodecConfig(
            audio_channels=1,
            num_filters=config.encoder_filters,
            hidden_size=config.codebook_dim,
            upsampling_ratios=list(reversed(config.strides)),
            num_lstm_layers=config.lstm_layers,
            use_causal_conv=False,
        )
    )
    for module in encoder.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
    return encoder
