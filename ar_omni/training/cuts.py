"""How far a row is learned: nothing after that is read, so that most rows can cost less than all of them.

What a name means decides the opening of a picture, and the rest follows from there; what is asked decides the
text of a reply, and its speech follows from there. So many names and replies are learned in the same time if
most rows end there. What follows is learned from the others.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from ar_omni.processing import ROLES, Example
from ar_omni.training.preview import OPENING
from ar_omni.vocabulary import Vocabulary


def cut(
    example: Example,
    weights: Sequence[float],
    shares: Mapping[str, float],
    vocabulary: Vocabulary,
    rng: random.Random,
) -> list[float]:
    """Loss weights (T) of which those after the chosen end are 0.

    Args:
        example: of T ids.
        weights: of each id as a target.
        shares: key of `ENDS` -> share of the rows that end so; the others are learned to their end.
        vocabulary: tells where pictures begin.
        rng: chooses.
    """
    chance = rng.random()
    for name, share in shares.items():
        if chance < share:
            end = ENDS[name](example, weights, vocabulary)
            return [weight if place < end else 0.0 for place, weight in enumerate(weights)]
        chance -= share
    return list(weights)


def _after_opening(example: Example, weights: Sequence[float], vocabulary: Vocabulary) -> int:
    """Where the opening of the last picture ends that is learned, or a later reply's text, or the row."""
    ids = example.input_ids
    drawn = [place for place, weight in enumerate(weights) if weight > 0 and ids[place] == vocabulary.boi_id]
    if not drawn:
        return len(ids)
    return max(drawn[-1] + 1 + OPENING, _after_text(example, weights, vocabulary))


def _after_text(example: Example, weights: Sequence[float], vocabulary: Vocabulary) -> int:
    """Where the last reply's text ends, or the row."""
    text = ROLES.index("text")
    return max((place + 1 for place, role in enumerate(example.roles) if role == text), default=len(weights))


ENDS: Mapping[str, Callable[[Example, Sequence[float], Vocabulary], int]] = {
    "opening": _after_opening,
    "text": _after_text,
}
"""Where a row may end: with its last opening of a picture or text of a reply, or with its last text."""
