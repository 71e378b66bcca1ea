"""Encoded as it comes, speech is the file that it would be as a whole."""

from io import BytesIO

import av
import numpy as np
import pytest

from ar_omni.errors import InputError
from ar_omni.media import Audio
from ar_omni.serving.sound import FORMATS, Encoder, encode, find_format

RATE = 24_000
HEADER = 256
SOUND = Audio(0.4 * np.sin(np.arange(int(1.7 * RATE)) / 9), RATE)


def read(name, data) -> np.ndarray:
    """The samples of a file, by another decoder than the encoder's library."""
    if "pcm" in name:
        return np.frombuffer(data, "<i2").astype(np.float32) / 2**15
    with av.open(BytesIO(data)) as file:
        resampler = av.AudioResampler("flt", "mono", RATE)
        frames = [frame for decoded in file.decode(audio=0) for frame in resampler.resample(decoded)]
        return np.concatenate([frame.to_ndarray()[0] for frame in frames])


@pytest.mark.parametrize("name", FORMATS)
def test_a_stream_is_the_whole_file_but_for_its_header(name):
    encoder = Encoder(find_format(name), RATE)
    pieces = [encoder.push(piece) for piece in np.array_split(SOUND.samples, 9)] + [encoder.finish()]
    streamed, whole = b"".join(pieces), encoder.whole()
    assert len(streamed) == len(whole)
    assert streamed[HEADER:] == whole[HEADER:]
    assert sum(map(bool, pieces)) >= 2, "nothing was sent before the end"
    for data in (streamed, encode(SOUND, find_format(name))):
        heard = read(name, data)
        assert abs(len(heard) - len(SOUND.samples)) < 0.1 * RATE
        assert np.std(heard) == pytest.approx(np.std(SOUND.samples), rel=0.05)


def test_unknown_formats_are_named():
    with pytest.raises(InputError, match="wav, pcm, pcm16, flac, opus, mp3, got 'aac'"):
        find_format("aac")
