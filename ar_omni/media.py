"""Read, check and write audio, pictures and text: the only place that touches media files.

Media outside the limits below are refused with an `InputError` that states the limit; nothing is cut
silently. Files are written beside their destination and moved there whole, never half.
"""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ar_omni.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_AUDIO_SECONDS = 60.0
MIN_AUDIO_SECONDS = 0.1
SILENCE_PEAK = 1e-3
"""A recording whose loudest sample is below this (-60 dBFS) is silence."""
MAX_IMAGE_PIXELS = 64_000_000
MAX_IMAGE_BYTES = 64 * 2**20
MAX_TEXT_CHARACTERS = 100_000

AUDIO_FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}
IMAGE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}

FileLike = Any
"""A path, or a binary file object."""


@dataclass(frozen=True, eq=False)
class Audio:
    """A mono recording: float32 `samples` of shape (T,) in [-1, 1], at `sample_rate` Hz."""

    samples: np.ndarray
    sample_rate: int

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples)
        if samples.ndim != 1 or self.sample_rate <= 0:
            raise InputError(
                f"expected mono samples of shape (T,) at a rate above 0 Hz, "
                f"got shape {samples.shape} at {self.sample_rate} Hz"
            )
        object.__setattr__(self, "samples", np.ascontiguousarray(samples, dtype=np.float32))
        object.__setattr__(self, "sample_rate", int(self.sample_rate))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Audio):
            return NotImplemented
        return self.sample_rate == other.sample_rate and np.array_equal(self.samples, other.samples)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate

    @classmethod
    def load(cls, source: FileLike, sample_rate: int | None = None) -> Audio:
        """Read a wav, flac, ogg or mp3 file of any rate; channels are averaged.

        Args:
            source: a path, or a binary file object.
            sample_rate: resample to this many Hz; None keeps the file's own rate.

        Raises:
            InputError: missing, not a known format, damaged, empty, or longer than `MAX_AUDIO_SECONDS`.
        """
        import soundfile

        name = _existing_file(source, "a recording")
        try:
            with soundfile.SoundFile(source) as file:
                rate = file.samplerate
                limit = int(MAX_AUDIO_SECONDS * rate)
                frames = file.read(limit + 1, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
            raise InputError(
                f"expected a wav, flac, ogg or mp3 recording, got {name}, which cannot be read as one; "
                "convert it to wav first"
            ) from error
        if len(frames) > limit:
            raise InputError(
                f"expected a recording of at most {MAX_AUDIO_SECONDS:g} seconds, got a longer one in {name}; "
                "cut it into pieces"
            )
        if not len(frames):
            raise InputError(f"expected a recording with sound in it, got an empty one in {name}")
        audio = cls(frames.mean(axis=1), rate)
        return audio if sample_rate is None else audio.resample(sample_rate)

    def resample(self, sample_rate: int) -> Audio:
        """The same sound at another rate in Hz (soxr, high quality)."""
        if sample_rate == self.sample_rate:
            return self
        import soxr

        return Audio(soxr.resample(self.samples, self.sample_rate, sample_rate), sample_rate)

    def save(self, path: str | os.PathLike) -> None:
        """Write a wav, flac, ogg or mp3 file, as the suffix says; samples beyond [-1, 1] are clipped.

        Raises:
            InputError: another suffix, a folder that does not exist, or a rate that the format cannot hold.
        """
        import soundfile

        form, subtype = AUDIO_FORMATS[check_output(path, AUDIO_FORMATS)]
        samples = np.clip(np.nan_to_num(self.samples), -1.0, 1.0)
        with replacing(path) as temporary:
            try:
                # in blocks: libsndfile's Vorbis encoder overflows its stack on one long write
                with soundfile.SoundFile(temporary, "w", self.sample_rate, 1, subtype, format=form) as file:
                    for start in range(0, len(samples), self.sample_rate):
                        file.write(samples[start : start + self.sample_rate])
            except (soundfile.LibsndfileError, ValueError) as error:
                raise InputError(
                    f"expected a rate that {form} can hold, got {self.sample_rate} Hz"
                ) from error


def load_audio(source: FileLike | Audio) -> Audio:
    """A recording that a model may listen to: `Audio.load` of a path or file, or an `Audio`, checked.

    Raises:
        InputError: as `Audio.load`, or shorter than `MIN_AUDIO_SECONDS`, silent, or with samples not finite.
    """
    audio = source if isinstance(source, Audio) else Audio.load(source)
    if not MIN_AUDIO_SECONDS <= audio.duration <= MAX_AUDIO_SECONDS:
        raise InputError(
            f"expected a recording of {MIN_AUDIO_SECONDS:g} to {MAX_AUDIO_SECONDS:g} seconds, "
            f"got {audio.duration:.4g} seconds"
        )
    if not np.isfinite(audio.samples).all():
        raise InputError("expected finite samples in [-1, 1], got a recording with NaN or infinity in it")
    peak = float(np.abs(audio.samples).max())
    if peak < SILENCE_PEAK:
        raise InputError(
            f"expected a recording with sound in it, got silence (peak {peak:.2g}); check the microphone"
        )
    return audio


def load_image(source: FileLike | Image) -> Image:
    """A picture as RGB: a path, a binary file object or a PIL image; transparency is laid over white.

    The size is checked in the file's header, before anything is decoded.

    Raises:
        InputError: missing, damaged, no picture, over `MAX_IMAGE_BYTES` or over `MAX_IMAGE_PIXELS`.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if isinstance(source, Image.Image):
        _check_pixels(source, "the picture")
        return over_white(source)
    name = _existing_file(source, "a picture")
    if name != _OBJECT and os.path.getsize(source) > MAX_IMAGE_BYTES:
        raise InputError(
            f"expected a picture file of at most {MAX_IMAGE_BYTES >> 20} MB, got {name} "
            f"of {os.path.getsize(source) >> 20} MB; save it smaller"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(source) as image:
                _check_pixels(image, name)
                image.load()
                return over_white(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError as error:
        raise InputError(
            f"expected a picture of at most {MAX_IMAGE_PIXELS / 1e6:g} million pixels, got {name}: {error}"
        ) from error
    except InputError:
        raise
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise InputError(
            f"expected a png, jpeg, webp or gif picture, got {name}, which is damaged or none"
        ) from error


def save_image(image: Image, path: str | os.PathLike) -> None:
    """Write a picture as png, jpeg or webp, as the suffix says."""
    form = IMAGE_FORMATS[check_output(path, IMAGE_FORMATS)]
    with replacing(path) as temporary:
        image.save(temporary, form)


def check_text(text: str) -> str:
    """`text` itself, if a model may read it.

    Raises:
        InputError: no string, blank, longer than `MAX_TEXT_CHARACTERS`, or not valid Unicode.
    """
    if not isinstance(text, str):
        raise InputError(f"expected text as a str, got {type(text).__name__}")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise InputError(
            f"expected text of at most {MAX_TEXT_CHARACTERS:,} characters, got {len(text):,}; split it"
        )
    if not text.strip():
        raise InputError("expected some text, got none")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"expected valid Unicode text, got a lone surrogate at character {error.start}"
        ) from error
    return text


def check_output(path: str | os.PathLike, formats: dict[str, Any]) -> str:
    """The lower-case suffix of `path`, if a file of one of `formats` can be written there.

    Raises:
        InputError: another suffix, a folder that does not exist, or a path that is a folder.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in formats:
        raise InputError(f"expected a file name ending in {', '.join(formats)}, got {path}")
    if not path.parent.is_dir():
        raise InputError(f"expected an existing folder to write into, got {path.parent}; create it first")
    if path.is_dir():
        raise InputError(f"expected a file to write, got the folder {path}")
    return suffix


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path beside `path`, moved onto it when the block succeeds and removed when it fails."""
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


_OBJECT = "the file object"


def _existing_file(source: FileLike, kind: str) -> str:
    """How to name `source` in a message; a path must be a file that exists and can be read."""
    if hasattr(source, "read"):
        return _OBJECT
    if not isinstance(source, str | os.PathLike):
        raise InputError(f"expected a path or a binary file for {kind}, got {type(source).__name__}")
    path = Path(source)
    if path.is_dir():
        raise InputError(f"expected {kind}, got the folder {path}")
    if not path.is_file():
        raise InputError(f"expected {kind}, got {path}, which does not exist")
    if not os.access(path, os.R_OK):
        raise InputError(f"expected {kind}, got {path}, which may not be read; check its permissions")
    return str(path)


def _check_pixels(image: Image, name: str) -> None:
    if image.width * image.height > MAX_IMAGE_PIXELS:
        raise InputError(
            f"expected a picture of at most {MAX_IMAGE_PIXELS / 1e6:g} million pixels, got {name} of "
            f"{image.width} x {image.height}; make it smaller"
        )


def over_white(image: Image) -> Image:
    """The picture as RGB, transparency blended with white."""
    from PIL import Image

    if image.mode == "RGB":
        return image.copy()
    if image.mode.startswith("I"):  # 16 bits a pixel
        image = Image.fromarray((np.asarray(image, dtype=np.float64) / 257).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        rgba = np.asarray(image.convert("RGBA"))
        return Image.fromarray(_blend_with_white()[rgba[..., 3:], rgba[..., :3]])
    return image.convert("RGB")


@cache
def _blend_with_white() -> np.ndarray:
    """uint8 (alpha, value) -> value over white; cut, not rounded, as Chameleon's pictures were prepared."""
    alpha = np.arange(256)[:, None] / 255.0
    return ((1 - alpha) * 255 + alpha * np.arange(256)).astype(np.uint8)
