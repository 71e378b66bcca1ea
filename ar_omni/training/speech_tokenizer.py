"""Training of the speech codec: spectra at several resolutions, and the phonemes that its codes must keep."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ar_omni.tokenizers.speech_network import SpeechCodec, SpeechTokenizerConfig
from ar_omni.training.adversary import Adversary
from ar_omni.training.codebook import CodebookLearner
from ar_omni.training.world.voices import Utterance

MARKS = frozenset("ˈˌːʲ_^$")  # stress, length and sentence marks take the time of no sound of their own

UNKNOWN = -100
"""The label of what no phoneme is known for."""


def mel_filters(size: int, window: int, sample_rate: int) -> Tensor:
    """A Slaney mel filterbank, float32 (size, window // 2 + 1)."""
    from transformers.audio_utils import mel_filter_bank

    bank = mel_filter_bank(
        window // 2 + 1, size, 0.0, sample_rate / 2, sample_rate, norm="slaney", mel_scale="slaney"
    )
    return torch.from_numpy(bank.T.astype(np.float32)).contiguous()


class SpectralLoss(nn.Module):
    """Mean absolute difference of log-mel spectra over several window lengths: (B, N), (B, N) -> ()."""

    RESOLUTIONS = ((512, 128, 40), (1024, 256, 80), (2048, 512, 100))

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        for window, _, mels in self.RESOLUTIONS:
            self.register_buffer(f"mel_{window}", mel_filters(mels, window, sample_rate), persistent=False)
            self.register_buffer(f"hann_{window}", torch.hann_window(window), persistent=False)

    def forward(self, restored: Tensor, samples: Tensor) -> Tensor:
        losses = []
        for window, hop, _ in self.RESOLUTIONS:
            bank, hann = getattr(self, f"mel_{window}"), getattr(self, f"hann_{window}")
            mels = []
            for signal in (restored, samples):
                spectrum = torch.stft(signal, window, hop, window=hann, return_complex=True)
                power = torch.view_as_real(spectrum).square().sum(-1)
                mels.append(torch.log(bank @ torch.sqrt(power + 1e-9) + 1e-4))
            losses.append((mels[0] - mels[1]).abs().mean())
        return torch.stack(losses).mean()


class SpeechTokenizerTrainer(nn.Module):
    """The codec, the codebook's averages, and a small head that reads phonemes off the quantized latents.

    The phoneme term makes the codes keep the words: similar sounds get codes of their own even where they
    differ little in energy, and the decoder model finds them easier to read and to predict.
    """

    def __init__(
        self, config: SpeechTokenizerConfig, num_phonemes: int, trained: SpeechCodec | None = None
    ) -> None:
        super().__init__()
        self.network = SpeechCodec(config)
        self.network.encoder.mel_filters.copy_(mel_filters(config.mels, config.window, config.sample_rate))
        self.codebook = CodebookLearner(self.network.quantizer)
        self.reader = nn.Sequential(
            nn.Conv1d(config.code_dim, 128, 3, padding=1), nn.GELU(), nn.Conv1d(128, num_phonemes, 1)
        )
        self.spectral = SpectralLoss(config.sample_rate)
        if trained:
            self.network.load_state_dict(trained.state_dict())
            self.codebook.counts.fill_(1.0)
            self.codebook.sums.copy_(self.network.quantizer.codebook)

    def losses(self, samples: Tensor, phonemes: Tensor) -> dict[str, Tensor]:
        """Weighted terms for samples (B, T * hop_length) and each code's phoneme, int64 (B, T)."""
        quantized, _, commitment = self.codebook(self.network.encoder(samples))
        restored = self.network.decoder(quantized)
        heard = self.reader(quantized.transpose(1, 2))
        return {
            "spectral": self.spectral(restored, samples),
            "phonemes": 0.2 * functional.cross_entropy(heard, phonemes, ignore_index=UNKNOWN),
            "commitment": 0.25 * commitment,
        }


class SpeechDecoderTrainer(nn.Module):
    """A trained codec whose decoder learns to sound like recordings; encoder and codes stay as they are, and
    so does whatever was tokenized with them."""

    def __init__(self, network: SpeechCodec) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)
        network.decoder.requires_grad_(True)
        self.adversary = Adversary()
        self.spectral = SpectralLoss(network.encoder.config.sample_rate)

    def losses(self, samples: Tensor, _phonemes: Tensor | None = None) -> dict[str, Tensor]:
        """Weighted terms for samples (B, T * hop_length); fixed codes have no use for phonemes."""
        with torch.no_grad():
            latents = self.network.encoder(samples)
            codes = self.network.quantizer.encode(latents)
        restored = self.network.decoder(self.network.quantizer.lookup(codes))
        found = self.adversary.losses(restored, samples)
        found |= {"spectral": 15 * self.spectral(restored, samples), "matching": 2 * found["matching"]}
        # the encoder, which learned to tell phonemes, has to hear the same sounds again
        heard = (self.network.encoder(restored) - latents).square().mean() / latents.square().mean()
        return found | {"heard": 3 * heard}


def phoneme_labels(utterance: Utterance, inventory: dict[str, int], hop_length: int) -> np.ndarray:
    """The phoneme sounding in the middle of each code, int64 (ceil(samples / hop_length),); 0 is silence.

    `UNKNOWN` throughout where the voice does not tell.
    """
    count = -(-len(utterance.samples) // hop_length)
    if not utterance.phonemes:
        return np.full(count, UNKNOWN, dtype=np.int64)
    labels, current = [], 0
    for phoneme in utterance.phonemes:
        current = current if phoneme in MARKS else inventory.get(phoneme, 0)
        labels.append(current)
    middles = np.arange(count) * hop_length + hop_length // 2
    index = np.searchsorted(utterance.ends, middles, side="right").clip(max=len(labels) - 1)
    return np.array(labels, dtype=np.int64)[index]


def phoneme_inventory(utterances: list[Utterance]) -> dict[str, int]:
    """Phoneme -> class, with 0 kept for silence and pauses."""
    sounds = {sound for item in utterances for sound in item.phonemes} - MARKS - set(" .,?!;:")
    return {sound: index + 1 for index, sound in enumerate(sorted(sounds))}
