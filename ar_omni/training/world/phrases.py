"""What is said to nano, and what it says: every way to ask, and the words of every answer."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from .pictures import STYLES, Concept, is_plural, with_article
from .sentences import is_held_out

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
RECORDED_STRANGERS = 2000
"""Nouns for things that nano does not know that are asked for aloud; others are asked for in writing."""
_SYLLABLES = "ba bo dri fle gli gorp ka lu mip na nox pla quo ru sni ta vorp wim zu zog".split()


@cache
def small_talk() -> tuple[tuple[tuple[str, ...], str], ...]:
    """Every row of `small_talk.txt`: ways to say it, and the answer."""
    rows = (line.split(" = ") for line in read_lines("small_talk.txt"))
    return tuple((tuple(said.split(" | ")), answer) for said, answer in rows)


@cache
def aliases() -> dict[str, tuple[str, ...]]:
    """Name -> what people call the thing, articles included."""
    rows = (line.split(" = ") for line in read_lines("aliases.txt"))
    return {name: tuple(said.split(" | ")) for said, name in rows}


@cache
def unknown_words() -> tuple[str, ...]:
    """Nouns for things that nano does not know."""
    return tuple(word for line in read_lines("unknown.txt") for word in line.split())


@cache
def strangers(held_out: bool = False) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(nouns, pairs of words) for thousands of other things that nano does not know, most used ones first;
    a hash decides which of them are never trained on."""
    words = [word.replace("_", " ") for line in read_lines("strangers.txt") for word in line.split()]
    words = [word for word in words if is_held_out(word, share=0.05) is held_out]
    pairs = [word for word in words if " " in word]
    return tuple(word for word in words if " " not in word), tuple(pairs)


@cache
def read_lines(name: str) -> tuple[str, ...]:
    """The lines of a file beside this one, comments left out."""
    lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if not line.startswith("#"))


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


def recollection(said: str) -> str:
    """What nano says when asked what was said."""
    return f"you said, {said}"


def caption(concept: Concept, style: str | None) -> str:
    """The description of a picture: name, style if it has one, and group."""
    return f"{styled(concept.phrase, style)}, from {concept.group}."


def asked_for(word: str, rng: random.Random) -> str:
    """A request or a question about a thing with this name."""
    return rng.choice((*REQUESTS, *EXPLAIN)).format(thing=with_article(word), verb="is")


@cache
def spoken_nonsense() -> tuple[str, ...]:
    """The questions about made-up words that are recorded."""
    rng = random.Random(0)
    return tuple(asked_for(made_up(rng), rng) for _ in range(500))


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
    yield from spoken_nonsense()
    for concept in concepts:
        yield from (request(concept.number + turn, concept, None) for turn in (3, 4))
    yield from (asked_for(noun, random.Random(noun)) for noun in strangers()[0][:RECORDED_STRANGERS])


def held_out_requests(concepts: Sequence[Concept]) -> Iterator[tuple[str, str]]:
    """(request, name) for each concept, in words that are never trained on for it: to evaluate with."""
    for concept in concepts:
        yield request(_held_out_template(concept), concept, None), concept.name


def _held_out_template(concept: Concept) -> int:
    return (concept.number + 1) % len(REQUESTS)


def trained_templates(concept: Concept, style: str | None) -> list[int]:
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
