"""The same in other words, as people say it who know no templates."""

from __future__ import annotations

import random
import re
from functools import cache

from .phrases import EXPLAIN, REQUESTS, small_talk
from .pictures import is_plural
from .sentences import expand, grammar, statement

SHORTER = {"what is": "what's", "i am": "i'm", "do not": "don't", "it is": "it's", "you are": "you're"}
WORDS = "other_words.txt"


def rephrased(said: str, rng: random.Random) -> str:
    """The same request or question in other words; what is neither, shorter."""
    for kind, templates in (("request", REQUESTS), ("explain", EXPLAIN)):
        for template in templates:
            if found := re.fullmatch(_pattern(template), said):
                other = said if rng.random() < 0.2 else _other(kind, **found.groupdict(), rng=rng)
                return _polite(other, rng)
    return shortened(said, rng)


def shortened(said: str, rng: random.Random) -> str:
    """The same with fewer letters, and perhaps without its question mark."""
    for whole, short in SHORTER.items():
        if rng.random() < 0.7:
            said = said.replace(whole, short)
    return said.rstrip("?") if rng.random() < 0.5 else said


@cache
def _pattern(template: str) -> str:
    return re.escape(template).replace(r"\{thing\}", "(?P<thing>.+)").replace(r"\{verb\}", "(?P<verb>is|are)")


def _other(kind: str, rng: random.Random, thing: str, verb: str = "") -> str:
    if styled := re.fullmatch("((?:an? |the )?)(.+) in (.+) style", thing):
        article, name, style = styled.groups()
        thing = rng.choice((thing, f"{article}{name} in {style}", f"{article and 'a '}{style} {name}"))
    bare = re.sub("^(an?|the) ", "", thing)
    if rng.random() < 0.15:
        thing = bare
    verb = verb or ("are" if is_plural(bare) else "is")
    if kind == "explain":
        if verb == "is" and rng.random() < 0.25:
            return rng.choice(("what's {}?", "what's {}", "whats {}?")).format(thing)
        if thing != bare and thing.startswith("a") and rng.random() < 0.15:
            thing, verb = f"{bare}s", "are"
    given = {"thing": [thing], "verb": [verb], "does": ["do" if verb == "are" else "does"]}
    return expand(kind, rng, {**grammar(WORDS), **given})


def _polite(said: str, rng: random.Random) -> str:
    """With a greeting before it, or thanks after it, or without its question mark."""
    if rng.random() < 0.2:
        said = f"{expand('greeting', rng, grammar(WORDS))} {said}"
    chance = rng.random()
    if said.endswith("?"):
        return said.rstrip("?") if chance < 0.3 else said
    ending = expand("ending", rng, grammar(WORDS)) if chance < 0.25 else ""
    return f"{said} {ending}" if ending[:1].isalpha() else said + ending


def to_read(rng: random.Random) -> tuple[str, str]:
    """(what is said to have something read out, what is read out): a few words, or a sentence."""
    line = rng.choice(rng.choice(small_talk())[0]) if rng.random() < 0.3 else statement(rng).lower()
    words = line.rstrip(".?!").split()
    length = rng.choice((1, 2, 3, 4, 5, len(words)))
    first = rng.randrange(max(1, len(words) - length + 1))
    line = " ".join(words[first : first + length]).rstrip(",")
    return expand("say", rng, {**grammar(WORDS), "line": [line]}), f"{line}."
