"""A second voice for what a model says: the codec's decoder learns how it sounds, and the codes stay.

Two voices that say the same are coded differently. A decoder that learned a new voice's own codes would speak
in it only what the model never says, so the recordings' latents are first moved to where the model's own
speech lies: their mean becomes the same. What differs from it is what was said.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ar_omni.media import Audio
from ar_omni.tokenizers.speech_network import SpeechCodec
from ar_omni.training.speech_tokenizer import SpectralLoss


class VoiceTrainer(nn.Module):
    """A trained codec whose decoder learns a voice; encoder and codes stay as they are.

    Args:
        network: the codec.
        own: latents of what the model says now, (N, code_dim).
        new: latents of recordings of the new voice, (M, code_dim).
    """

    def __init__(self, network: SpeechCodec, own: Tensor, new: Tensor) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)
        network.decoder.requires_grad_(True)
        self.spectral = SpectralLoss(network.encoder.config.sample_rate)
        self.register_buffer("shift", own.mean(0) - new.mean(0))

    def losses(self, samples: Tensor) -> dict[str, Tensor]:
        """The one term for samples (B, T * hop_length) of the new voice."""
        quantizer = self.network.quantizer
        with torch.no_grad():
            codes = quantizer.encode(self.network.encoder(samples) + self.shift)
        return {"spectral": self.spectral(self.network.decoder(quantizer.lookup(codes)), samples)}


@torch.no_grad()
def latents(network: SpeechCodec, recordings: Iterable[Audio]) -> Tensor:
    """What the encoder makes of recordings, one after the other: (N, code_dim)."""
    rate = network.encoder.config.sample_rate
    found = [network.encoder(torch.from_numpy(audio.resample(rate).samples)[None])[0] for audio in recordings]
    return torch.cat(found)
