"""Codes of what a picture shows: their ranges, what they are of, and a save that loads."""

import numpy as np
import pytest
import torch
from PIL import Image

from ar_omni.tokenizers import load_tokenizer
from ar_omni.tokenizers.base import ImageTokenizer
from ar_omni.tokenizers.image import NanoImageTokenizer
from ar_omni.tokenizers.semantic import SemanticConfig, SemanticEncoder

CONFIG = SemanticConfig(image_size=48, widths=(8, 8, 8, 8), codes=5, style_codes=2, levels=3)


@pytest.fixture(scope="module")
def encoder() -> SemanticEncoder:
    torch.manual_seed(0)
    encoder = SemanticEncoder(CONFIG)
    encoder(torch.rand(64, 3, 48, 48) * 2 - 1)  # norms learn what is usual
    return encoder.eval().requires_grad_(False)


def test_a_code_is_a_rounded_number_and_has_a_range_of_its_own(encoder):
    pixels = torch.rand(200, 3, 48, 48) * 2 - 1
    numbers, codes = encoder(pixels), encoder.encode(pixels)
    assert codes.shape == (200, 5) and codes.dtype == torch.int64
    assert numbers.min() >= 0 and numbers.max() <= 2
    assert (codes == numbers.round() + torch.tensor([0, 3, 6, 9, 12])).all()
    assert codes.max() < CONFIG.codebook_size == 15


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
