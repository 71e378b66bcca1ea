"""The VQGAN equals the original: preprocessing, codes and decoded pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from goldens import arrays, golden
from PIL import Image

from ar_omni.convert import convert
from ar_omni.errors import InputError, UnsupportedOutputError
from ar_omni.media import load_image
from ar_omni.tokenizers import load_tokenizer
from ar_omni.tokenizers.base import ImageTokenizer
from ar_omni.tokenizers.vqgan import center_square


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_tokenizer(
        convert(golden("vqgan/vqgan.ckpt"), tmp_path_factory.mktemp("vqgan") / "codec", progress=False)
    )


@pytest.fixture(scope="module")
def expected():
    return arrays("vqgan/outputs.npz")


def pictures() -> list[str]:
    """Names of the golden pictures."""
    try:
        found = arrays("vqgan/outputs.npz")
    except pytest.skip.Exception:
        return []
    return sorted(name.removeprefix("codes_") for name in found if name.startswith("codes_"))


def picture(name: str) -> Image.Image:
    """An input of the golden data; `_convertRGB` drops its transparency first, as the original can."""
    base = name.removesuffix("_convertRGB")
    image = Image.open(golden(f"vqgan/input_{base}.png"))
    return image if base == name else image.convert("RGB")


def test_is_an_image_tokenizer(tokenizer):
    assert isinstance(tokenizer, ImageTokenizer)
    assert (tokenizer.image_size, tokenizer.codes_per_image, tokenizer.codebook_size) == (512, 1024, 8192)
    assert tokenizer.embedding.shape == (8192, 16)


@pytest.mark.parametrize("name", pictures())
def test_preprocessing_is_exact(expected, name):
    square = np.asarray(center_square(picture(name), 512))
    if f"pre_{name}_stride16" in expected:
        pixels = np.float32(square / 255.0 * 2 - 1).transpose(2, 0, 1)
        assert (pixels[:, ::16, ::16] == expected[f"pre_{name}_stride16"]).all()
    if f"pre_{name}_stride4_u8" in expected:
        assert (square[::4, ::4] == expected[f"pre_{name}_stride4_u8"]).all()
    if (golden("vqgan") / f"expected_pre_{name}.png").exists():
        assert (square == np.asarray(Image.open(golden(f"vqgan/expected_pre_{name}.png")))).all()


@pytest.mark.parametrize("name", pictures())
def test_latents_and_codes(tokenizer, expected, name):
    square = np.asarray(center_square(picture(name), 512)) / 255.0 * 2 - 1
    with torch.inference_mode():
        latents = tokenizer.network.latents(torch.from_numpy(square).permute(2, 0, 1).float()[None])
        codes = tokenizer.network.quantize(latents).flatten().numpy()
    clear = expected[f"margin_{name}"] > 1e-5
    assert (codes == expected[f"codes_{name}"])[clear].all()
    if f"z_{name}" in expected:
        np.testing.assert_allclose(latents[0], expected[f"z_{name}"], atol=1e-4)


def test_encoding(tokenizer, expected):
    codes = tokenizer.encode(picture("rgba_700x431"))
    assert codes.dtype == np.int64
    assert (codes == expected["codes_rgba_700x431"])[expected["margin_rgba_700x431"] > 1e-5].all()


def test_transparency_lies_over_white_however_the_picture_comes():
    path = golden("vqgan/input_rgba_700x431.png")
    squares = [np.asarray(center_square(image, 512)) for image in (load_image(path), Image.open(path))]
    assert (squares[0] == squares[1]).all()


@pytest.mark.parametrize("name", ["rgb_512", "rgba_700x431"])
def test_decoded_pixels(tokenizer, expected, name):
    codes = torch.from_numpy(expected[f"codes_{name}"]).view(1, 32, 32)
    with torch.inference_mode():
        pixels = tokenizer.network.decode(codes)[0].numpy()
    np.testing.assert_allclose(pixels[:, ::8, ::8], expected[f"decoded_{name}_stride8"], atol=5e-4)
    np.testing.assert_allclose(pixels[:, 200:264, 300:364], expected[f"decoded_{name}_crop"], atol=5e-4)


def test_decoded_picture(tokenizer, expected):
    box = (128, 192, 384, 448)
    image = tokenizer.decode(expected["codes_rgb_512"]).crop(box)
    wanted = Image.open(golden("vqgan/expected_decoded_rgb_512_crop_128_192_384_448.png"))
    assert np.abs(np.asarray(image).astype(int) - np.asarray(wanted).astype(int)).max() <= 1


def test_a_vqgan_with_attention(tmp_path):
    expected = arrays("chameleon_meta/outputs_images.npz")
    codec = convert(golden("chameleon_meta/tokenizer/vqgan.ckpt"), tmp_path / "codec", progress=False)
    tokenizer = load_tokenizer(codec)
    assert tokenizer.config.encoder_attention == tokenizer.config.decoder_attention == (4,)
    ids = expected["rgb_512.tokenize_image"]
    codes = ids[(ids >= 4) & (ids < 8196)] - 4
    assert (tokenizer.encode(picture("rgb_512")) == codes).mean() > 0.995
    decoded = np.asarray(tokenizer.decode(codes))[::8, ::8].astype(int)
    assert np.abs(decoded - expected["rgb_512.decoded_u8_stride8"]).max() <= 1


def test_a_folder_without_decoder_only_encodes(tmp_path):
    folder = convert(golden("chameleon_hf/swin_false"), tmp_path / "model", progress=False)
    tokenizer = load_tokenizer(folder / "image_tokenizer")
    codes = tokenizer.encode(picture("rgb_512"))
    wanted = arrays("chameleon_hf/outputs_swin_false.npz")["image_tokens.rgb_512.bpe_ids"].reshape(-1) - 4
    assert (codes == wanted).mean() > 0.995
    with pytest.raises(UnsupportedOutputError, match="without its decoder"):
        tokenizer.decode(codes)


def test_bad_codes(tokenizer):
    with pytest.raises(InputError, match="1024 image codes"):
        tokenizer.decode([0])
