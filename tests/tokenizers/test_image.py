"""nano's image tokenizer: shapes, the white square, refusals, and a save that loads."""

import numpy as np
import pytest
from PIL import Image

from ar_omni.errors import InputError
from ar_omni.tokenizers.base import ImageTokenizer
from ar_omni.tokenizers.image import NanoImageTokenizer, fit_square


def test_keeps_the_protocol(tokenizers):
    assert isinstance(tokenizers.image, ImageTokenizer)
    assert tokenizers.image.embedding.shape[0] == tokenizers.image.codebook_size


@pytest.mark.parametrize("size", [(36, 36), (300, 100), (7, 50), (1, 1)])
def test_a_picture_of_any_shape_becomes_a_fixed_number_of_codes(tokenizers, size):
    image = tokenizers.image
    codes = image.encode(Image.new("RGB", size, "red"))
    assert codes.dtype == np.int64 and codes.shape == (image.codes_per_image,)
    assert image.decode(codes).size == (image.image_size, image.image_size)


def test_the_whole_picture_is_kept_on_white():
    square = np.asarray(fit_square(Image.new("RGB", (40, 20), "black"), 20))
    assert (square[:5] == 255).all() and (square[15:] == 255).all() and (square[5:15] == 0).all()


@pytest.mark.parametrize("codes", [[0], [0] * 10, [99] * 9])
def test_another_number_of_codes_or_a_foreign_code_is_refused(tokenizers, codes):
    with pytest.raises(InputError, match="expected 9 image codes"):
        tokenizers.image.decode(codes)


def test_saved_is_loaded(tokenizers, tmp_path):
    tokenizers.image.save(tmp_path)
    loaded = NanoImageTokenizer.load(tmp_path)
    codes = list(range(9))
    original, restored = (np.asarray(each.decode(codes), dtype=int) for each in (tokenizers.image, loaded))
    assert np.abs(original - restored).max() <= 2
