"""Reading aloud and hearing, supervised: which letter each speech code belongs to.

A small decoder takes long to find out that speech follows its text from left to right. Where the ends of the
spoken words are known, it can be taught: while it reads aloud, a linear head has to tell from each hidden
state the letter after the one being spoken; while it listens, the letter spoken a moment ago.
"""

from __future__ import annotations

from collections.abc import Sequence

UNKNOWN = -1
"""Target of the positions that the reading loss leaves alone."""
AHEAD = 1
"""Letters from the one being spoken to the one that a reader has to tell: only who keeps the place can."""
LAG = 4
"""Codes from a letter's being spoken to a listener's having to tell it: sounds are known by what follows."""


def reading_targets(
    input_ids: Sequence[int], words: Sequence[str], ends: Sequence[int], boa_id: int, text_start: int
) -> list[int]:
    """The id of a letter for each speech code of a row with one text and its speech; `UNKNOWN` elsewhere.

    A word's letters, with the space after it, share its codes evenly. Where the text comes before the speech
    it is read aloud, and the letter is `AHEAD`; where it comes after, it is heard, and told `LAG` later.

    Args:
        input_ids: `<bos> text <eoh> <boa> codes ...` or `<bos> <boa> codes <eoa> <eoh> <ins> text ...`, the
            text in one id a letter.
        words: of the text, in order.
        ends: for each word, the number of codes at its end; empty where it is not known.
        boa_id: the id that opens the speech.
        text_start: where the text begins in `input_ids`.

    Returns:
        as many targets as there are ids; all `UNKNOWN` where ends are missing.
    """
    targets = [UNKNOWN] * len(input_ids)
    first = input_ids.index(boa_id) + 1
    heard = text_start > first
    letters = len(" ".join(words))
    place, start = text_start, 0
    for word, end in zip(words, ends, strict=bool(ends)):
        size = len(word) + 1
        for code in range(start, end):
            spoken = place + min(size * (code - start) // (end - start), len(word))
            if not heard:
                targets[first + code] = input_ids[min(spoken + AHEAD, text_start + letters)]
            elif code + LAG < ends[-1]:
                targets[first + code + LAG] = input_ids[min(spoken, text_start + letters - 1)]
        place, start = place + size, end
    return targets
