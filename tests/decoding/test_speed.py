"""Decoding is at least as fast as transformers' own generate() on the same weights."""

import statistics
import time

import pytest
import torch

from ar_omni.configuration import AROmniConfig
from ar_omni.decoding import (
    Controller,
    Guidance,
    Network,
    Options,
    Row,
    Sampler,
    Sequence,
    decode,
    plan_reply,
)
from ar_omni.modeling import AROmniForCausalLM
from ar_omni.vocabulary import Vocabulary

TOKENS, ROUNDS = 60, 5


@pytest.fixture(scope="module")
def model() -> AROmniForCausalLM:
    """nano's geometry, untrained."""
    torch.manual_seed(0)
    config = AROmniConfig(
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=8,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        vocabulary=Vocabulary.nano(320, 1024, 1024).to_dict(),
    )
    return AROmniForCausalLM(config).eval()


def cpu_seconds(run) -> float:
    """CPU time of this process, which other busy programs lengthen little."""
    start = time.process_time()
    run()
    return time.process_time() - start


@pytest.mark.slow
@torch.no_grad()
def test_decoding_is_at_least_as_fast_as_generate(model):
    vocabulary = Vocabulary.from_dict(model.config.vocabulary)
    config, weights = model.config.to_dict(), {name: t.clone() for name, t in model.state_dict().items()}
    network, prompt = Network.from_weights(weights, config), list(range(20, 52))
    options = Options(max_new_tokens=TOKENS, speech_repetition_limit=0)

    def ours():
        controller = Controller(vocabulary, plan_reply(("speech",)), options, 64)
        row = Row(Sequence(list(prompt)), controller, Sampler(0), Guidance([], 1.0))
        assert len(list(decode(network, [row]))) == TOKENS

    def theirs():
        ids = torch.tensor([prompt])
        mask = torch.ones_like(ids)
        model.generate(
            ids, attention_mask=mask, max_new_tokens=TOKENS, min_new_tokens=TOKENS, do_sample=False
        )

    ours(), theirs()
    ratios = [cpu_seconds(theirs) / cpu_seconds(ours) for _ in range(ROUNDS)]
    assert statistics.median(ratios) > 1.0, ratios
