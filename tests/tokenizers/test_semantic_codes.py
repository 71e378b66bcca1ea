"""Codes of what a picture shows: their ranges, what they are of, and a save that loads."""

import numpy as np
import pytest
import torch
from PIL import Image

from ar_omni.tokenizers import load_tokenizer
from ar_omni.tokenizers.base import ImageTokenizer
from ar_omni.tokenizers.image import NanoImageTokenizer
from ar_omni.tokenizers.semantic import Memory, SemanticConfig, SemanticEncoder

CONFIG = SemanticConfig(image_size=48, widths=(8, 8, 8, 8), codes=5, style_codes=2, digits=2, levels=3)


@pytest.fixture(scope="module")
def encoder() -> SemanticEncoder:
    torch.manual_seed(0)
    encoder = SemanticEncoder(CONFIG)
    encoder(torch.rand(64, 3, 48, 48) * 2 - 1)  # norms learn what is usual
    return encoder.eval().requires_grad_(False)


def test_every_code_has_a_range_of_its_own(encoder):
    codes = encoder.encode(torch.rand(200, 3, 48, 48) * 2 - 1)
    assert codes.shape == (200, 5) and codes.dtype == torch.int64
    assert (codes // CONFIG.values == torch.arange(5)).all()
    assert CONFIG.values == 9 and codes.max() < CONFIG.codebook_size == 45


def test_a_code_spells_its_rounded_numbers(encoder):
    pixels = torch.rand(20, 3, 48, 48) * 2 - 1
    numbers, codes = encoder(pixels), encoder.encode(pixels) % CONFIG.values
    assert numbers.abs().max() <= encoder.reach == 1
    assert (codes % 3 == numbers[:, 0::2].round() + 1).all()
    assert (codes // 3 == numbers[:, 1::2].round() + 1).all()


def test_what_is_alike_is_recalled():
    memory = Memory(3, 4)
    memory.keys.copy_(torch.tensor([[1.5, 0, 0, 0], [0, 1.5, 0, 0], [0, 0, 1.5, 1.5]]))
    memory.kept.copy_(torch.tensor([[1.0, 0, 0, 0], [0, 0, 1.0, 0], [0, 0.5, 0, 0.5]]))
    seen = torch.tensor([[1.0, 0.3, 0, 0.2], [0.1, 0, 0.9, 1.4], [0.7, 0.7, 0, 0]])
    recalled = memory(seen)
    torch.testing.assert_close(recalled[:2], memory.kept[[0, 2]], rtol=0, atol=1e-3)
    torch.testing.assert_close(recalled[2], memory.kept[:2].mean(0))  # two at once
    assert torch.equal(Memory(0, 4)(seen), seen)


def test_what_is_seen_is_the_mean_of_two_glimpses(encoder):
    pixels = torch.ones(4, 3, 48, 48)
    pixels[..., 4:-4, 4:-4] = torch.rand(4, 3, 40, 40) * 2 - 1
    seen = [encoder.content(pixels.roll((by, by), (2, 3))) for by in (2, -2)]
    expected = encoder.things(encoder.bounded(torch.stack(seen).mean(0)))
    torch.testing.assert_close(encoder(pixels)[:, : expected.shape[1]], expected)


def test_a_picture_is_read_alone_as_in_a_batch(encoder):
    pixels = torch.rand(8, 3, 48, 48) * 2 - 1
    torch.testing.assert_close(encoder(pixels)[2:3], encoder(pixels[2:3]), rtol=0, atol=1e-5)


def test_saved_in_eight_bits_is_loaded(encoder, tmp_path):
    encoder.save(tmp_path / "weights")
    loaded = SemanticEncoder.load(tmp_path / "weights", CONFIG)
    pixels = torch.rand(50, 3, 48, 48) * 2 - 1
    assert (loaded(pixels) - encoder(pixels)).abs().mean() < 0.02
    again = SemanticEncoder.load(tmp_path / "weights", CONFIG)
    assert (again.encode(pixels) == loaded.encode(pixels)).all()


def test_without_it_what_is_shown_has_the_codes_of_what_is_drawn(tokenizers, picture):
    image = tokenizers.image
    assert image.codes_per_shown_image == image.codes_per_image
    assert (image.encode_shown(picture) == image.encode(picture)).all()


@pytest.mark.parametrize("size", [(96, 96), (300, 100), (1, 1)])
def test_a_tokenizer_with_it_sees_by_it_and_draws_as_before(tokenizers, encoder, tmp_path, size):
    plain = tokenizers.image
    NanoImageTokenizer(plain.config, plain.network, encoder).save(tmp_path)
    both, picture = load_tokenizer(tmp_path), Image.new("RGB", size, "red")
    assert isinstance(both, ImageTokenizer)
    codes = both.encode_shown(picture)
    assert codes.dtype == np.int64 and codes.shape == (both.codes_per_shown_image,) == (5,)
    assert (both.encode(picture) == NanoImageTokenizer.load(tmp_path).encode(picture)).all()
    assert both.codes_per_image == plain.codes_per_image
