"""nano's speech tokenizer: one codebook, 24 kHz, 40 codes a second, and a decoder that streams exactly."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from ar_omni.errors import InputError
from ar_omni.media import Audio
from ar_omni.tokenizers.speech_network import SpeechCodec, SpeechTokenizerConfig, State


class NanoSpeechTokenizer:
    """Speech <-> codes, as `ar_omni.tokenizers.base.SpeechTokenizer` asks."""

    def __init__(self, config: SpeechTokenizerConfig, network: SpeechCodec) -> None:
        self.config = config
        self.network = network.eval().requires_grad_(False)
        self.codebook_size = config.codebook_size
        self.sample_rate = config.sample_rate
        self.hop_length = config.hop_length
        self.frame_rate = config.sample_rate / config.hop_length

    @torch.inference_mode()
    def encode(self, audio: Audio) -> np.ndarray:
        """Codes of a recording at any sample rate: int64 (ceil(seconds * frame_rate),)."""
        samples = torch.from_numpy(audio.resample(self.sample_rate).samples)[None]
        return self.network.quantizer.encode(self.network.encoder(samples))[0].numpy()

    def decode(self, codes: Sequence[int]) -> Audio:
        """The speech of `codes`: hop_length samples for each.

        Raises:
            InputError: a code outside [0, codebook_size).
        """
        stream = self.streamer()
        return Audio(np.concatenate([stream.push(codes), stream.flush()]), self.sample_rate)

    def streamer(self) -> NanoSpeechStream:
        """A decoder with memory, for one segment of speech."""
        return NanoSpeechStream(self)

    def save(self, folder: str | PathLike) -> None:
        """Writes `config.json` and `model.safetensors` (weights in half precision)."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(
            json.dumps({"type": "nano_speech", **asdict(self.config)}, indent=2) + "\n"
        )
        save_file(
            {key: value.half().contiguous() for key, value in self.network.state_dict().items()},
            folder / "model.safetensors",
        )

    @classmethod
    def load(cls, folder: str | PathLike) -> NanoSpeechTokenizer:
        """Reads what `save` wrote; computes in float32."""
        values = json.loads((Path(folder) / "config.json").read_text())
        values.pop("type")
        config = SpeechTokenizerConfig(
            **{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        )
        network = SpeechCodec(config)
        weights = load_file(Path(folder) / "model.safetensors")
        network.load_state_dict({key: value.float() for key, value in weights.items()}, assign=True)
        return cls(config, network)


class NanoSpeechStream:
    """Codes in, samples out, piece by piece; joined, the pieces are what one `decode` of all codes gives."""

    def __init__(self, tokenizer: NanoSpeechTokenizer) -> None:
        self.tokenizer = tokenizer
        self.state: State | None = None

    @torch.inference_mode()
    def push(self, codes: Sequence[int]) -> np.ndarray:
        """The samples that `codes` complete, float32 (n,); all but the last 18.75 ms of them at once."""
        codes = torch.as_tensor(np.asarray(codes, dtype=np.int64))
        if len(codes) == 0:
            return np.zeros(0, np.float32)
        if not ((codes >= 0) & (codes < self.tokenizer.codebook_size)).all():
            raise InputError(
                f"expected speech codes in [0, {self.tokenizer.codebook_size}), got {codes.tolist()}"
            )
        network = self.tokenizer.network
        samples, self.state = network.decoder.step(network.quantizer.lookup(codes)[None], self.state)
        return samples[0].clamp(-1, 1).numpy()

    @torch.inference_mode()
    def flush(self) -> np.ndarray:
        """The last samples, float32 (n,); the stream is then ready for another segment."""
        if self.state is None:
            return np.zeros(0, np.float32)
        samples = self.tokenizer.network.decoder.finish(self.state)
        self.state = None
        return samples[0].clamp(-1, 1).numpy()
