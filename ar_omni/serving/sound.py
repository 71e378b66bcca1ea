"""Speech as it comes -> a file as it comes, in every format that libsndfile writes."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np

from ar_omni.errors import InputError
from ar_omni.media import Audio

_ENDLESS = b"\xff\xff\xff\xff"
_WAV_SIZES = (4, 40)
"""Where a wav header tells its sizes, which a stream does not know."""


@dataclass(frozen=True)
class Format:
    """A media type, libsndfile's names for the container and what is in it, and the order of bytes."""

    media_type: str
    container: str
    subtype: str
    endian: str = "FILE"


FORMATS = {
    "wav": Format("audio/wav", "WAV", "PCM_16"),
    "pcm": Format("audio/pcm", "RAW", "PCM_16", "LITTLE"),
    "pcm16": Format("audio/pcm", "RAW", "PCM_16", "LITTLE"),
    "flac": Format("audio/flac", "FLAC", "PCM_16"),
    "opus": Format("audio/ogg", "OGG", "OPUS"),
    "mp3": Format("audio/mpeg", "MP3", "MPEG_LAYER_III"),
}
"""The names are OpenAI's; `pcm` is 16 bits, little-endian, mono, at the model's rate."""


def find_format(name: str) -> Format:
    """The format of this name.

    Raises:
        InputError: there is none.
    """
    if name not in FORMATS:
        raise InputError(f"expected an audio format of {', '.join(FORMATS)}, got {name!r}")
    return FORMATS[name]


class Encoder:
    """Samples in, the bytes of a file out, each as soon as it is known.

    Args:
        form: of the file.
        sample_rate: in Hz.
    """

    def __init__(self, form: Format, sample_rate: int):
        import soundfile

        self._bytes, self._taken = BytesIO(), 0
        self._rate = sample_rate
        self._is_wav = form.container == "WAV"
        self._file = soundfile.SoundFile(
            self._bytes, "w", sample_rate, 1, form.subtype, form.endian, form.container
        )

    def push(self, pcm: np.ndarray) -> bytes:
        """What the file has become longer by, with samples (n,) in [-1, 1] more; may be empty."""
        samples = np.clip(np.nan_to_num(pcm), -1.0, 1.0)
        for start in range(0, len(samples), self._rate):  # the Vorbis encoder overflows on long writes
            self._file.write(samples[start : start + self._rate])
        self._file.flush()
        return self._take()

    def finish(self) -> bytes:
        """The rest of the file."""
        self._file.close()
        return self._take()

    def close(self) -> None:
        """Let go of the file, finished or not."""
        self._file.close()

    def whole(self) -> bytes:
        """All of a finished file, its header with the right length."""
        return self._bytes.getvalue()

    def _take(self) -> bytes:
        new = bytearray(self._bytes.getbuffer()[self._taken :])
        if self._is_wav and new and not self._taken:
            for place in _WAV_SIZES:
                new[place : place + 4] = _ENDLESS
        self._taken += len(new)
        return bytes(new)


def encode(audio: Audio, form: Format) -> bytes:
    """A whole recording as a file."""
    encoder = Encoder(form, audio.sample_rate)
    encoder.push(audio.samples)
    encoder.finish()
    return encoder.whole()
