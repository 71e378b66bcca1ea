"""nano's codec: streaming is offline decoding, for any split; lengths follow from the frame rate."""

import numpy as np
import pytest

from ar_omni.errors import InputError
from ar_omni.media import Audio
from ar_omni.tokenizers.base import SpeechTokenizer
from ar_omni.tokenizers.speech import NanoSpeechTokenizer


@pytest.fixture
def speech(tokenizers) -> NanoSpeechTokenizer:
    return tokenizers.speech


def test_keeps_the_protocol(speech):
    assert isinstance(speech, SpeechTokenizer)
    assert speech.frame_rate * speech.hop_length == speech.sample_rate


@pytest.mark.parametrize("sizes", [[1] * 30, [30], [4, 8, 16, 2], [29, 0, 1], [3, 27]])
def test_streaming_is_offline_decoding(speech, sizes):
    codes = np.random.default_rng(0).integers(0, speech.codebook_size, 30)
    whole = speech.decode(codes).samples
    stream, pieces, start = speech.streamer(), [], 0
    for size in sizes:
        pieces.append(stream.push(codes[start : start + size]))
        start += size
    pieces.append(stream.flush())
    assert len(whole) == 30 * speech.hop_length
    assert np.abs(whole).max() > 0
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)


def test_a_flushed_stream_starts_afresh(speech):
    stream = speech.streamer()
    first = np.concatenate([stream.push([1, 2, 3]), stream.flush()])
    again = np.concatenate([stream.push([1, 2, 3]), stream.flush()])
    np.testing.assert_array_equal(first, again)
    assert len(stream.flush()) == 0


def test_the_decoder_never_looks_ahead(speech):
    codes = np.arange(20) % speech.codebook_size
    other = codes.copy()
    other[12:] = 0
    finished = 12 * speech.hop_length - speech.network.decoder.delay
    np.testing.assert_allclose(
        speech.decode(codes).samples[:finished], speech.decode(other).samples[:finished], atol=1e-6
    )


@pytest.mark.parametrize(("seconds", "rate"), [(1.0, 24_000), (1.01, 24_000), (0.5, 16_000), (0.3, 44_100)])
def test_one_code_a_frame_at_any_sample_rate(speech, seconds, rate):
    samples = np.sin(np.arange(round(seconds * rate)) * 0.05).astype(np.float32)
    codes = speech.encode(Audio(samples, rate))
    assert codes.dtype == np.int64
    assert len(codes) == int(np.ceil(round(seconds * speech.sample_rate) / speech.hop_length))


def test_codes_outside_the_codebook_are_refused(speech):
    with pytest.raises(InputError, match="speech codes in"):
        speech.decode([0, speech.codebook_size])


def test_saved_is_loaded(speech, tmp_path):
    speech.save(tmp_path)
    loaded = NanoSpeechTokenizer.load(tmp_path)
    codes = list(range(16))
    loaded.save(tmp_path / "again")
    twice = NanoSpeechTokenizer.load(tmp_path / "again")
    np.testing.assert_array_equal(loaded.decode(codes).samples, twice.decode(codes).samples)
    np.testing.assert_allclose(loaded.decode(codes).samples, speech.decode(codes).samples, atol=0.02)
