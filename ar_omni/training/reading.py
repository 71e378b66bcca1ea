"""Reading aloud, supervised: which letter comes next in the text, for every speech code that is spoken.

A small decoder takes long to find out that speech follows its text from left to right. Where the ends of the
spoken words are known, it can be taught: from each hidden state, a linear head has to tell the letter after
the one being spoken, which only a model that keeps its place in the text can do.
"""

from __future__ import annotations

from collections.abc import Sequence

UNKNOWN = -1
"""Target of the positions that the reading loss leaves alone."""


def reading_targets(
    input_ids: Sequence[int], words: Sequence[str], ends: Sequence[int], boa_id: int
) -> list[int]:
    """The id of the letter after the one that each speech code speaks; `UNKNOWN` elsewhere.

    A word's letters, with the space after it, share its codes evenly.

    Args:
        input_ids: one text, then its speech: `<bos> text <eoh> <boa> codes ...`, the text in one id a letter.
        words: of the text, in order.
        ends: for each word, the number of codes at its end; empty where it is not known.
        boa_id: the id that opens the speech.

    Returns:
        as many targets as there are ids; all `UNKNOWN` where ends are missing or an id is not a letter.
    """
    targets = [UNKNOWN] * len(input_ids)
    letters = len(" ".join(words))
    first = input_ids.index(boa_id) + 1
    if not ends or first != letters + 3:
        return targets
    place, start = 1, 0
    for word, end in zip(words, ends, strict=True):
        size = len(word) + 1
        for code in range(start, end):
            spoken = place + min(size * (code - start) // (end - start), len(word))
            targets[first + code] = input_ids[min(spoken, letters) + 1]
        place, start = place + size, end
    return targets
