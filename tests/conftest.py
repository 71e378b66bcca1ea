"""A random checkpoint of the real classes at tiny sizes: every path runs in seconds, untrained."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from ar_omni.configuration import AROmniConfig
from ar_omni.decoding import Options
from ar_omni.media import Audio
from ar_omni.modeling import AROmniForCausalLM
from ar_omni.omni import AROmni
from ar_omni.processing import Processor
from ar_omni.template import Template
from ar_omni.tokenizers.image import ImageAutoencoder, ImageTokenizerConfig, NanoImageTokenizer
from ar_omni.tokenizers.speech import NanoSpeechTokenizer
from ar_omni.tokenizers.speech_network import SpeechCodec, SpeechTokenizerConfig
from ar_omni.tokenizers.text import SentencePieceTokenizer
from ar_omni.vocabulary import Vocabulary

IMAGE = ImageTokenizerConfig(image_size=24, codebook_size=16, code_dim=8, fine_width=8, coarse_width=8)
SPEECH = SpeechTokenizerConfig(codebook_size=32, code_dim=8, encoder_width=16, decoder_widths=(16, 16))
TEMPLATE = Path(__file__).parents[1] / "configs" / "nano" / "processor_config.json"
SENTENCES = ["the quick brown fox jumps over a lazy dog", "show me a red apple, please!", "what is that?"]


@pytest.fixture(autouse=True)
def process_wide_settings():
    """What a script sets for its whole process is put back: how floats are multiplied, accelerate's state."""
    precision = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(precision)
    if accelerate := sys.modules.get("accelerate"):
        accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def tokenizers() -> SimpleNamespace:
    """text, image and speech tokenizers with random weights."""
    torch.manual_seed(0)
    image = NanoImageTokenizer(IMAGE, ImageAutoencoder(IMAGE))
    speech = NanoSpeechTokenizer(SPEECH, SpeechCodec(SPEECH))
    return SimpleNamespace(text=SentencePieceTokenizer.train(SENTENCES), image=image, speech=speech)


@pytest.fixture(scope="session")
def vocabulary(tokenizers) -> Vocabulary:
    return Vocabulary.nano(tokenizers.text.codebook_size, IMAGE.codebook_size, SPEECH.codebook_size)


@pytest.fixture(scope="session")
def processor(tokenizers, vocabulary) -> Processor:
    sizes = dict.fromkeys(("codes_per_image", "codes_per_shown_image"), IMAGE.grid**2)
    template = json.loads(TEMPLATE.read_text()) | sizes
    parts = (tokenizers.text, tokenizers.image, tokenizers.speech)
    return Processor(vocabulary, *parts, Template.from_dict(template))


@pytest.fixture(scope="session")
def make_config(vocabulary):
    """`make_config(**changes)`: a nano-shaped config of a few thousand parameters."""

    def make(**changes) -> AROmniConfig:
        values = {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "tie_word_embeddings": True,
            "vocabulary": vocabulary.to_dict(),
        }
        return AROmniConfig(**values | changes)

    return make


@pytest.fixture(scope="session")
def make_model(make_config):
    """`make_model(seed=0, **changes)`: random weights, spread so that no two logits are nearly equal."""

    def make(seed: int = 0, **changes) -> AROmniForCausalLM:
        torch.manual_seed(seed)
        model = AROmniForCausalLM(make_config(**changes)).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.normal_(mean=float("norm" in name and "weight" in name), std=0.3)
        return model

    return make


@pytest.fixture(scope="session")
def omni(make_model, processor) -> AROmni:
    """A random model that runs every path; its words mean nothing."""
    limits = {"text": {"limit": 12}, "transcript": {"limit": 9}, "speech": {"limit": 40}}
    presets = {task: Options().override(**limits, guidance_scale=2.0) for task in processor.template.tasks}
    return AROmni.from_model(make_model(), processor, presets)


@pytest.fixture(scope="session")
def checkpoint(omni, tmp_path_factory) -> Path:
    """`omni`, saved."""
    folder = tmp_path_factory.mktemp("tiny")
    omni.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tone() -> Audio:
    """Half a second of a rising tone."""
    t = np.arange(12_000) / 24_000
    return Audio(0.3 * np.sin(2 * np.pi * (200 + 300 * t) * t), 24_000)


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    """Red and blue halves."""
    image = Image.new("RGB", (40, 30), "red")
    image.paste("blue", (20, 0, 40, 30))
    return image
