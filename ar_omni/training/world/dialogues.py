"""What nano is asked and what it answers: conversations as values, which training and evaluation render."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .other_words import to_read
from .phrases import (
    ANOTHER,
    EXPLAIN,
    QUESTIONS,
    RECALL,
    REQUESTS,
    RESTYLE,
    SAY,
    SORRY,
    aliases,
    asked_for,
    explanation,
    made_up,
    name_reply,
    question,
    recollection,
    recorded_requests,
    request,
    show_reply,
    small_talk,
    spoken_nonsense,
    styled,
    trained_templates,
    unknown_words,
)
from .pictures import STYLES, Concept, is_held_out_pair
from .sentences import statement
from .unknown import about_a_stranger, aside, wonder

Picture = tuple[int, str]
"""A concept's index, and a style."""


@dataclass(frozen=True)
class Exchange:
    """A question and its right answer.

    Attributes:
        said: what the user says or types.
        answer: the reply's text; its speech says the same.
        kind: a key of `KINDS`.
        shown: the picture that the user shows.
        drawn: the picture that the reply draws.
    """

    said: str
    answer: str
    kind: str
    shown: Picture | None = None
    drawn: Picture | None = None


@dataclass(frozen=True)
class Habits:
    """How people talk.

    Attributes:
        openings: how often a question that does not speak of what came before is of each kind.
        lengths: numbers of exchanges, each as likely.
        following: share of the later questions that speak of what came before, where they can.
    """

    openings: Mapping[str, float]
    lengths: Sequence[int]
    following: float


HABITS = Habits(
    {"show": 0.28, "name": 0.23, "explain": 0.26, "say": 0.07, "unknown": 0.06, "small_talk": 0.1},
    lengths=(1, 1, 1, 1, 1, 2, 2, 3),
    following=0.5,
)


def conversation(concepts: Sequence[Concept], rng: random.Random, habits: Habits = HABITS) -> list[Exchange]:
    """Some exchanges; a few of them speak of what came before."""
    history: list[Exchange] = []
    for _ in range(rng.choice(habits.lengths)):
        follow = _FOLLOWING if history and history[-1].drawn else ("recall",) if history else ()
        if follow and rng.random() < habits.following:
            kind = rng.choice(follow)
        else:
            kind = rng.choices(list(habits.openings), weights=habits.openings.values())[0]
        history.append(KINDS[kind](concepts, rng, history))
    return history


def is_held_out_conversation(exchanges: Sequence[Exchange], share: float = 0.05) -> bool:
    """Whether a conversation is never trained on: a hash of what is said decides, no list is needed."""
    said = "|".join(exchange.said for exchange in exchanges)
    return int.from_bytes(hashlib.blake2b(said.encode(), digest_size=4).digest()) < share * 2**32


def _show(concepts: Sequence[Concept], rng: random.Random, _: list[Exchange]) -> Exchange:
    index, style = trained_pair(concepts, rng)
    concept = concepts[index]
    asked = style if style != default_style(concept) or rng.random() < 0.5 else None
    said = request(rng.choice(trained_templates(concept, asked)), concept, asked)
    if concept.name in aliases() and rng.random() < 0.4:
        said = rng.choice(REQUESTS).format(thing=styled(rng.choice(aliases()[concept.name]), asked))
    elif rng.random() < 0.3:
        known, wanted = rng.choice(recorded_requests(concept))
        if not (wanted and is_held_out_pair(concept.name, wanted)):
            said, asked, style = known, wanted, wanted or default_style(concept)
    return Exchange(said, show_reply(concept, asked), "show", drawn=(index, style))


def _restyle(concepts: Sequence[Concept], rng: random.Random, history: list[Exchange]) -> Exchange:
    """What was drawn last, in a style that the words name."""
    index, style = history[-1].drawn
    style = rng.choice([other for other in trained_styles(concepts[index]) if other != style])
    said = rng.choice(RESTYLE).format(style=style)
    return Exchange(said, show_reply(concepts[index], style), "restyle", drawn=(index, style))


def _another(concepts: Sequence[Concept], rng: random.Random, history: list[Exchange]) -> Exchange:
    """What was drawn last, in its next style."""
    index, style = history[-1].drawn
    styles = trained_styles(concepts[index])
    style = styles[(styles.index(style) + 1) % len(styles)]
    return Exchange(rng.choice(ANOTHER), show_reply(concepts[index], style), "another", drawn=(index, style))


def _name(concepts: Sequence[Concept], rng: random.Random, _: list[Exchange]) -> Exchange:
    shown = trained_pair(concepts, rng)
    return Exchange(rng.choice(QUESTIONS), name_reply(concepts[shown[0]]), "name", shown=shown)


def _explain(concepts: Sequence[Concept], rng: random.Random, _: list[Exchange]) -> Exchange:
    index = rng.randrange(len(concepts))
    concept = concepts[index]
    said = question(rng.choice((0, 0, *range(len(EXPLAIN)))), concept)
    return Exchange(said, explanation(concept), "explain", drawn=(index, default_style(concept)))


def _say(concepts: Sequence[Concept], rng: random.Random, _: list[Exchange]) -> Exchange:
    """Reads out small talk, or an everyday sentence that says nothing else to nano."""
    line = rng.choice(rng.choice(small_talk())[0]) if rng.random() < 0.4 else statement(rng).lower()
    line = line.rstrip(".?!")
    return Exchange(rng.choice(SAY).format(line=line), f"{line}.", "say")


def _recall(concepts: Sequence[Concept], rng: random.Random, history: list[Exchange]) -> Exchange:
    return Exchange(rng.choice(RECALL), recollection(history[-1].said), "recall")


def _unknown(concepts: Sequence[Concept], rng: random.Random, _: list[Exchange]) -> Exchange:
    """Asks for a thing without a picture, or for what is no word at all."""
    chance = rng.random()
    if chance < 0.4:
        said = asked_for(rng.choice(unknown_words()), rng)
    else:
        said = rng.choice(spoken_nonsense()) if chance < 0.7 else asked_for(made_up(rng), rng)
    return Exchange(said, SORRY, "unknown")


def _small_talk(concepts: Sequence[Concept], rng: random.Random, _: list[Exchange]) -> Exchange:
    phrasings, answer = rng.choice(small_talk())
    return Exchange(rng.choice(phrasings), answer, "small_talk")


def _wonder(concepts: Sequence[Concept], rng: random.Random, _: list[Exchange]) -> Exchange:
    return Exchange(wonder(concepts, rng), SORRY, "wonder")


def _stranger(concepts: Sequence[Concept], rng: random.Random, _: list[Exchange]) -> Exchange:
    return Exchange(about_a_stranger(rng), SORRY, "stranger")


def _aside(concepts: Sequence[Concept], rng: random.Random, _: list[Exchange]) -> Exchange:
    return Exchange(aside(rng), SORRY, "aside")


def _read(concepts: Sequence[Concept], rng: random.Random, _: list[Exchange]) -> Exchange:
    said, line = to_read(rng)
    return Exchange(said, line, "read")


KINDS: dict[str, Callable[[Sequence[Concept], random.Random, list[Exchange]], Exchange]] = {
    "show": _show,
    "restyle": _restyle,
    "another": _another,
    "name": _name,
    "explain": _explain,
    "say": _say,
    "recall": _recall,
    "unknown": _unknown,
    "small_talk": _small_talk,
    "wonder": _wonder,
    "stranger": _stranger,
    "aside": _aside,
    "read": _read,
}
"""Kind -> what makes an exchange of it from the concepts, a generator and the exchanges before."""
_FOLLOWING = ("restyle", "restyle", "another", "recall")


def default_style(concept: Concept) -> str:
    """The style of a picture that nobody named a style for: the first that may be trained on."""
    return trained_styles(concept)[0]


def trained_styles(concept: Concept) -> list[str]:
    """The styles that a thing may be trained in, the first of which needs no words."""
    return [style for style in STYLES if not is_held_out_pair(concept.name, style)]


def trained_pair(concepts: Sequence[Concept], rng: random.Random) -> Picture:
    """A concept's index, and a style that it may be trained in."""
    while True:
        index, style = rng.randrange(len(concepts)), rng.choice(STYLES)
        if not is_held_out_pair(concepts[index].name, style):
            return index, style
