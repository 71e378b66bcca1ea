"""WavTokenizer equals the original, and its stream stays near its offline decoding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from goldens import arrays, golden

from ar_omni.convert import convert
from ar_omni.errors import CheckpointError, InputError
from ar_omni.media import Audio
from ar_omni.tokenizers import load_tokenizer
from ar_omni.tokenizers.base import SpeechTokenizer
from ar_omni.tokenizers.resample import sinc_resample

EDGE_FRAMES = 6
"""What counts as a clip's end, where a window and the whole clip see different borders."""


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    source = golden("wavtokenizer/wavtokenizer_tiny.ckpt")
    return load_tokenizer(convert(source, tmp_path_factory.mktemp("wav") / "codec", progress=False))


@pytest.fixture(scope="module")
def expected():
    return arrays("wavtokenizer/outputs.npz")


def clips() -> list[str]:
    """Names of the golden recordings."""
    try:
        found = arrays("wavtokenizer/outputs.npz")
    except pytest.skip.Exception:
        return []
    return sorted(name.removesuffix(".wav") for name in found if name.endswith(".wav"))


def test_is_a_speech_tokenizer(tokenizer):
    assert isinstance(tokenizer, SpeechTokenizer)
    assert (tokenizer.sample_rate, tokenizer.hop_length, tokenizer.frame_rate) == (24000, 600, 40.0)
    assert (tokenizer.codebook_size, tokenizer.config.encoder_filters, tokenizer.config.dim) == (4096, 4, 64)


@pytest.mark.parametrize("name", clips())
def test_encoding(tokenizer, expected, name):
    samples = expected[f"{name}.wav"].reshape(-1)
    codes = tokenizer.encode(Audio(samples, 24000))
    assert codes.dtype == np.int64
    assert (codes == expected[f"{name}.codes"].reshape(-1, codes.shape[-1])[0]).all()
    if f"{name}.encoder_out" in expected:
        with torch.inference_mode():
            vectors = tokenizer.network.encoder(torch.from_numpy(samples)[None, None]).numpy()
        np.testing.assert_allclose(vectors, expected[f"{name}.encoder_out"], atol=1e-4)


@pytest.mark.parametrize("name", [name for name in clips() if name != "batch"])
def test_decoding(tokenizer, expected, name):
    audio = tokenizer.decode(expected[f"{name}.codes"][0, 0])
    assert audio.sample_rate == 24000
    np.testing.assert_allclose(audio.samples, expected[f"{name}.decoded_bw0"][0], atol=1e-5)


@pytest.mark.parametrize("row", [1, 2])
def test_the_norm_row_of_a_bandwidth(tokenizer, expected, row):
    name = {1: "random", 2: "odd"}[row]
    if f"{name}.decoded_bw{row}" not in expected:
        pytest.skip(f"golden clip {name} is not here")
    codes = torch.from_numpy(expected[f"{name}.codes"][0])
    with torch.inference_mode():
        samples = tokenizer.network.decode(codes, row).numpy()
    np.testing.assert_allclose(samples, expected[f"{name}.decoded_bw{row}"], atol=1e-5)


@pytest.mark.parametrize(
    ("rate", "given", "wanted"),
    [(16000, "in_16k", "out_24k"), (44100, "in_44k1", "out_24k_from_44k1")],
)
def test_resampling(expected, rate, given, wanted):
    found = sinc_resample(torch.from_numpy(expected[f"resample.{given}"]), rate, 24000)
    np.testing.assert_allclose(found, expected[f"resample.{wanted}"][0], atol=1e-5)


def streamed(tokenizer, codes, pieces):
    stream, start, found = tokenizer.streamer(), 0, []
    for size in pieces:
        found.append(stream.push(codes[start : start + size]))
        start += size
    return np.concatenate([*found, stream.push(codes[start:]), stream.flush()]), found


@pytest.mark.parametrize("pieces", [[1] * 68, [7, 30, 2], []])
def test_streaming_is_near_offline_decoding(tokenizer, expected, pieces):
    codes = expected["chirp.codes"][0, 0]
    offline = tokenizer.decode(codes).samples
    samples, found = streamed(tokenizer, codes, pieces)
    assert samples.shape == offline.shape
    edge = EDGE_FRAMES * tokenizer.hop_length
    error = (samples - offline)[edge:-edge]
    ratio = 10 * np.log10((offline[edge:-edge] ** 2).sum() / (error**2).sum())
    assert ratio >= 30, f"signal to noise {ratio:.1f} dB"
    if len(pieces) == len(codes):
        window = tokenizer.config.chunk + tokenizer.config.lookahead
        sizes = [len(piece) for piece in found]
        assert next(i for i, size in enumerate(sizes) if size) == window - 1, "the stated look-ahead"


def test_seams_are_no_louder_than_the_signal(tokenizer):
    codes = torch.randint(4096, (200,), generator=torch.Generator().manual_seed(0)).tolist()
    offline = np.abs(np.diff(tokenizer.decode(codes).samples)).max()
    samples, _ = streamed(tokenizer, codes, [5] * 40)
    step = tokenizer.config.chunk * tokenizer.hop_length
    seams = np.abs(np.diff(samples))[step - 1 :: step]
    assert seams.max() <= offline


def test_a_short_clip_streams_exactly(tokenizer, expected):
    codes = expected["chirp.codes"][0, 0][:30]
    samples, _ = streamed(tokenizer, codes, [10, 20])
    np.testing.assert_allclose(samples, tokenizer.decode(codes).samples, atol=1e-6)
    assert not len(tokenizer.streamer().flush())


def test_bad_codes(tokenizer):
    with pytest.raises(InputError, match="4096"):
        tokenizer.decode([4096])
    with pytest.raises(InputError, match="lookahead >= 1"):
        tokenizer.streamer(lookahead=0)


def test_an_untrained_codebook_is_refused(tmp_path):
    values = torch.load(golden("wavtokenizer/wavtokenizer_tiny.ckpt"), weights_only=True)
    values["state_dict"]["feature_extractor.encodec.quantizer.vq.layers.0._codebook.inited"].zero_()
    torch.save(values, tmp_path / "model.ckpt")
    with pytest.raises(CheckpointError, match="never initialised"):
        convert(tmp_path / "model.ckpt", tmp_path / "out", progress=False)
