"""A random checkpoint that runs every path in seconds: real classes, tiny sizes, exactly invertible media."""

import pytest
import torch

from ar_omni.configuration import AROmniConfig
from ar_omni.modeling import AROmniForCausalLM
from ar_omni.vocabulary import Vocabulary

TEXT_SIZE, IMAGE_SIZE, SPEECH_SIZE = 128, 16, 32


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return Vocabulary.nano(TEXT_SIZE, IMAGE_SIZE, SPEECH_SIZE)


def tiny_config(**changes) -> AROmniConfig:
    values = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
        "vocabulary": Vocabulary.nano(TEXT_SIZE, IMAGE_SIZE, SPEECH_SIZE).to_dict(),
    }
    return AROmniConfig(**values | changes)


def tiny_model(seed: int = 0, **changes) -> AROmniForCausalLM:
    torch.manual_seed(seed)
    model = AROmniForCausalLM(tiny_config(**changes)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(mean=float("norm" in name and "weight" in name), std=0.3)
    return model


@pytest.fixture(scope="session")
def make_config():
    """`make_config(**changes)`: a nano-shaped config of a few thousand parameters."""
    return tiny_config


@pytest.fixture(scope="session")
def make_model():
    """`make_model(seed=0, **changes)`: random weights, spread so that no two logits are nearly equal."""
    return tiny_model
