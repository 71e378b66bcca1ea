"""Tokenized material as one file: the codes of every utterance and of every picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass
class Codes:
    """What `codes.npz` holds, a row for each utterance.

    Attributes:
        texts: what is said, in lower case.
        voices: keys of `ar_omni.training.world.crowd.SPEAKERS`.
        speech: int16 codes of each utterance.
        word_ends: the code after each word; empty where words run together or the voice does not tell.
        pictures: int16 (concepts, styles, codes).
    """

    texts: list[str] = field(default_factory=list)
    voices: list[str] = field(default_factory=list)
    speech: list[np.ndarray] = field(default_factory=list)
    word_ends: list[list[int]] = field(default_factory=list)
    pictures: np.ndarray | None = None

    @classmethod
    def load(cls, path: Path) -> Codes:
        with np.load(path, allow_pickle=False) as data:
            speech = np.split(data["speech"], np.cumsum(data["lengths"])[:-1])
            ends = np.split(data["word_ends"], np.cumsum(data["word_counts"])[:-1])
            texts, voices, pictures = data["texts"].tolist(), data["voices"].tolist(), data["pictures"]
        return cls(texts, voices, speech, [row.tolist() for row in ends], pictures)

    def spoken(self) -> set[tuple[str, str]]:
        """(text, voice) of every utterance."""
        return set(zip(self.texts, self.voices, strict=True))

    def add(self, text: str, voice: str, codes: np.ndarray, word_ends: list[int]) -> None:
        """Appends an utterance."""
        for column, value in zip(
            (self.texts, self.voices, self.speech, self.word_ends),
            (text, voice, codes, word_ends),
            strict=True,
        ):
            column.append(value)

    def save(self, path: Path) -> None:
        """Writes the file atomically."""
        partial = path.with_suffix(".partial.npz")
        np.savez_compressed(
            partial,
            texts=np.array(self.texts),
            voices=np.array(self.voices),
            lengths=np.array([len(row) for row in self.speech]),
            speech=np.concatenate(self.speech).astype(np.int16),
            word_counts=np.array([len(ends) for ends in self.word_ends]),
            word_ends=np.array([end for ends in self.word_ends for end in ends]),
            pictures=np.asarray(self.pictures, dtype=np.int16),
        )
        partial.rename(path)
