"""Speech for texts that nobody recorded: cut out of recordings, word by word or in longer runs."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

LONGEST = 4
"""Words of a run that is looked for as a whole."""
Run = tuple[str, int]
"""A recorded text, and the first of its words."""


class Splicer:
    """Finds the words of a text in recordings and joins their codes.

    Args:
        speech: text -> its codes.
        word_ends: text -> the code after each of its words; texts that are not in it are not cut.
    """

    def __init__(self, speech: Mapping[str, np.ndarray], word_ends: Mapping[str, Sequence[int]]) -> None:
        self.speech, self.word_ends = speech, word_ends
        self._runs: dict[tuple[str, ...], list[Run]] = defaultdict(list)
        for text in sorted(word_ends):
            words = plain_words(text)
            for first in range(len(words)):
                for stop in range(first + 1, min(first + LONGEST, len(words)) + 1):
                    self._runs[words[first:stop]].append((text, first))

    def cut(self, text: str, first: int, stop: int) -> tuple[np.ndarray, list[int]]:
        """The codes of the words from `first` up to `stop`, and where each of them ends."""
        ends = self.word_ends[text]
        start = ends[first - 1] if first else 0
        return self.speech[text][start : ends[stop - 1]], [end - start for end in ends[first:stop]]

    def say(self, text: str, rng: random.Random) -> np.ndarray | None:
        """Codes that say `text`, out of the longest runs that were recorded; None if a word never was."""
        words, codes = plain_words(text), []
        first = 0
        while first < len(words):
            reach = range(min(LONGEST, len(words) - first), 0, -1)
            count = next((n for n in reach if words[first : first + n] in self._runs), 0)
            if not count:
                return None
            source, place = rng.choice(self._runs[words[first : first + count]])
            codes.append(self.cut(source, place, place + count)[0])
            first += count
        return np.concatenate(codes)


def plain_words(text: str) -> tuple[str, ...]:
    """The words of a text without the marks around them, as many as `text.split()` has."""
    return tuple(word.strip('.,?!;:"()') for word in text.split())
