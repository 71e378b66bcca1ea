"""What nano is asked and what it answers: conversations as values, which training and evaluation render."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .pictures import STYLES, Concept, is_held_out_pair, is_plural
from .sentences import statement

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
REQUESTS = (
    "show me {thing}",
    "draw {thing}",
    "please draw {thing}",
    "can you show me {thing}?",
    "i want to see {thing}",
    "could you draw {thing}?",
)
QUESTIONS = ("what is this?", "what do you see?", "what is in the picture?")
EXPLAIN = ("what {verb} {thing}?", "tell me about {thing}", "explain {thing}")
RESTYLE = ("draw it in {style} style", "now in {style} style", "can you make it in {style} style?")
ANOTHER = ("another one", "one more", "show me another one")
RECALL = ("what did i say?", "what did i just say?", "repeat what i said")
SAY = ("say {line}", "please say {line}", "read this aloud, {line}")
SORRY = "i am sorry, i do not know that."
_SYLLABLES = "ba bo dri fle gli gorp ka lu mip na nox pla quo ru sni ta vorp wim zu zog".split()


@cache
def small_talk() -> tuple[tuple[tuple[str, ...], str], ...]:
    """Every row of `small_talk.txt`: ways to say it, and the answer."""
    rows = (line.split(" = ") for line in _lines("small_talk.txt"))
    return tuple((tuple(said.split(" | ")), answer) for said, answer in rows)


@cache
def aliases() -> dict[str, tuple[str, ...]]:
    """Name -> what people call the thing, articles included."""
    rows = (line.split(" = ") for line in _lines("aliases.txt"))
    return {name: tuple(said.split(" | ")) for said, name in rows}


@cache
def unknown_words() -> tuple[str, ...]:
    """Nouns for things that nano does not know."""
    return tuple(word for line in _lines("unknown.txt") for word in line.split())


def _lines(name: str) -> list[str]:
    """The lines of a file beside this one, comments left out."""
    lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def styled(thing: str, style: str | None) -> str:
    """ "a red apple in 3d style"; without a style, the thing alone."""
    return f"{thing} in {style} style" if style else thing


def show_reply(concept: Concept, style: str | None = None) -> str:
    """What nano says when it shows a picture: all that the picture then depends on."""
    return f"here is {styled(concept.phrase, style)}."


def name_reply(concept: Concept) -> str:
    """What nano says when asked what a picture shows."""
    return f"this is {concept.phrase}."


def explanation(concept: Concept) -> str:
    """What nano says of a thing."""
    return f"{concept.phrase} {concept.gloss}."


def caption(concept: Concept, style: str | None) -> str:
    """The description of a picture: name, style if it has one, and group."""
    return f"{styled(concept.phrase, style)}, from {concept.group}."


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
    said = request(rng.choice(_templates(concept, asked)), concept, asked)
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
    return Exchange(rng.choice(RECALL), f"you said, {history[-1].said}", "recall")


def _unknown(concepts: Sequence[Concept], rng: random.Random, _: list[Exchange]) -> Exchange:
    """Asks for a thing without a picture, or for what is no word at all."""
    chance = rng.random()
    if chance < 0.4:
        said = _asked_for(rng.choice(unknown_words()), rng)
    else:
        said = rng.choice(_spoken_nonsense()) if chance < 0.7 else _asked_for(made_up(rng), rng)
    return Exchange(said, SORRY, "unknown")


def _asked_for(word: str, rng: random.Random) -> str:
    thing = f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
    return rng.choice((*REQUESTS, *EXPLAIN)).format(thing=thing, verb="is")


@cache
def _spoken_nonsense() -> tuple[str, ...]:
    """The questions about made-up words that are recorded."""
    rng = random.Random(0)
    return tuple(_asked_for(made_up(rng), rng) for _ in range(500))


def _small_talk(concepts: Sequence[Concept], rng: random.Random, _: list[Exchange]) -> Exchange:
    phrasings, answer = rng.choice(small_talk())
    return Exchange(rng.choice(phrasings), answer, "small_talk")


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


def made_up(rng: random.Random) -> str:
    """A word that means nothing."""
    return "".join(rng.choice(_SYLLABLES) for _ in range(rng.choice((2, 2, 3))))


def spoken_lines(concepts: Sequence[Concept]) -> Iterator[str]:
    """Every line that is recorded: small talk, and for each concept requests and a part of the replies."""
    for phrasings, answer in small_talk():
        yield from (*phrasings, answer)
    yield from (*QUESTIONS, *ANOTHER, *RECALL, SORRY)
    yield from (template.format(line="hello") for template in SAY)
    for style in STYLES:
        yield from (template.format(style=style) for template in RESTYLE)
    for concept in concepts:
        yield show_reply(concept)
        yield from (said for said, _ in recorded_requests(concept))
        yield question(0, concept) if concept.number % 2 else name_reply(concept)
        if concept.number % 3 == 0:
            yield explanation(concept)
    yield from _spoken_nonsense()


def held_out_requests(concepts: Sequence[Concept]) -> Iterator[tuple[str, str]]:
    """(request, name) for each concept, in words that are never trained on for it: to evaluate with."""
    for concept in concepts:
        yield request(_held_out_template(concept), concept, None), concept.name


def _held_out_template(concept: Concept) -> int:
    return (concept.number + 1) % len(REQUESTS)


def _templates(concept: Concept, style: str | None) -> list[int]:
    """The templates of requests that may be trained on."""
    return [i for i in range(len(REQUESTS)) if style or i != _held_out_template(concept)]


def request(template: int, concept: Concept, style: str | None) -> str:
    """A request for a concept, in the words of a template."""
    return REQUESTS[template % len(REQUESTS)].format(thing=styled(concept.phrase, style))


def recorded_requests(concept: Concept) -> tuple[tuple[str, str | None], ...]:
    """The requests for a concept that are recorded, each with the style that it asks for."""
    number, style = concept.number, STYLES[concept.number % len(STYLES)]
    return (request(number, concept, None), None), (request(number + 2, concept, style), style)


def question(template: int, concept: Concept) -> str:
    """What one asks to have a concept explained."""
    verb = "are" if is_plural(concept.name) else "is"
    return EXPLAIN[template].format(thing=concept.phrase, verb=verb)
