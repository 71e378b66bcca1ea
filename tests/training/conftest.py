"""Training as a user starts it."""

import runpy
import sys

import pytest
import torch

from ar_omni.tokenizers.speech_network import SpeechCodec, SpeechTokenizerConfig
from ar_omni.training.speech_tokenizer import mel_filters


@pytest.fixture
def codec() -> SpeechCodec:
    """A small speech codec with random weights."""
    torch.manual_seed(0)
    config = SpeechTokenizerConfig(
        encoder_width=16, encoder_blocks=(1, 1), decoder_widths=(16, 16), decoder_blocks=(1, 1)
    )
    codec = SpeechCodec(config)
    codec.encoder.mel_filters.copy_(mel_filters(config.mels, config.window, config.sample_rate))
    return codec


@pytest.fixture
def script(pytestconfig, monkeypatch):
    """`script(name, *arguments)`: runs a file of `train/`."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(pytestconfig.rootpath / "train" / name), run_name="__main__")

    return run
