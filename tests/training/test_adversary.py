"""The game between the codec's decoder and what tells it from recordings."""

import pytest
import torch

from ar_omni.training.adversary import Adversary
from ar_omni.training.speech_tokenizer import SpeechDecoderTrainer


@pytest.fixture
def samples():
    torch.manual_seed(0)
    return torch.sin(torch.arange(4800) * torch.rand(3, 1)) * 0.3


@pytest.mark.parametrize(
    ("term", "restored_learns", "adversary_learns"),
    [("telling", False, True), ("fooling", True, False), ("matching", True, False)],
)
def test_each_side_learns_from_its_own_terms(samples, term, restored_learns, adversary_learns):
    adversary = Adversary(periods=(2, 5), windows=(512,))
    restored = torch.randn_like(samples).requires_grad_()
    adversary.losses(restored, samples)[term].backward()
    assert (restored.grad is not None) is restored_learns
    assert any(value.grad is not None for value in adversary.parameters()) is adversary_learns


def test_noise_is_told_from_tones(samples):
    adversary = Adversary(periods=(2, 5), windows=(512,))
    optimizer = torch.optim.Adam(adversary.parameters(), 3e-3)
    for _ in range(30):
        optimizer.zero_grad()
        telling = adversary.losses(0.2 * torch.randn_like(samples), samples)["telling"]
        telling.backward()
        optimizer.step()
    assert telling < 0.4, "it began at 2"
    scores = [
        [features[-1].mean() for features in adversary(some)]
        for some in (samples, 0.2 * torch.randn_like(samples))
    ]
    assert all(real > made for real, made in zip(*scores, strict=True))


def test_what_matches_costs_nothing(samples):
    assert Adversary(periods=(3,), windows=(512,)).losses(samples, samples)["matching"] == 0


def test_the_codes_stay_while_the_decoder_learns(samples, codec):
    trainer = SpeechDecoderTrainer(codec)
    codes, before = codec.quantizer.encode(codec.encoder(samples)), trainer.losses(samples)["spectral"]
    optimizer = torch.optim.Adam(trainer.parameters(), 3e-3)
    for _ in range(10):
        optimizer.zero_grad()
        terms = trainer.losses(samples)
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
    assert torch.equal(codec.quantizer.encode(codec.encoder(samples)), codes)
    assert terms["spectral"] < 0.9 * before.detach()
