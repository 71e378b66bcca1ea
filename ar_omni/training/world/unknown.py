"""What nano cannot know: things that it has no picture of, words that mean nothing, questions."""

from __future__ import annotations

import random
from collections.abc import Sequence

from .phrases import EXPLAIN, asked_for, strangers
from .pictures import Concept, with_article
from .sentences import expand, grammar, is_held_out, remark

_ONSETS = (
    "b bl br c ch cl cr d dr f fl fr g gl gr h j k l m n p pl pr r s sh sl sm sn sp st str t th tr v w z"
).split()
_VOWELS = "a a e e i i o o u ai ea ee oa oo ou".split()
_CODAS = ["", "", *"b ck d g l ll m n nd ng nk nt p r rd rk sh sk ss st t th x".split()]


def wonder(concepts: Sequence[Concept], rng: random.Random) -> str:
    """A request or a question, in any words, that nano can only be sorry about."""
    slots = grammar("wonder.txt")
    noun = [_stranger(rng)] if rng.random() < 0.5 else slots["noun"]
    given = {
        "thing": [_thing(concepts, rng)],
        "other": [_thing(concepts, rng)],
        "unlike": [_unlike(concepts, rng)],
        "noun": noun,
        "number": [str(rng.randint(2, 99))],
    }
    said = expand("wonder", rng, {**slots, **given})
    return said if rng.random() < 0.5 else said.rstrip("?")


def about_a_stranger(rng: random.Random) -> str:
    """A request or a question about a thing that nano does not know: any of thousands, or one made up."""
    thing = _stranger(rng) if rng.random() < 0.8 else _made_up(rng)
    return asked_for(thing, rng) if rng.random() < 0.8 else rng.choice(EXPLAIN).format(thing=thing, verb="is")


def aside(rng: random.Random) -> str:
    """An everyday sentence, which asks for nothing that nano could do; no greeting begins it."""
    while (said := remark(rng)).startswith(tuple(grammar()["greeting"])):
        pass
    return said.lower()


def invented(rng: random.Random) -> str:
    """A word that means nothing, unlike those of `made_up` in that hardly two are the same: "sprailont"."""
    syllables = (rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(rng.choice((2, 2, 3))))
    return "".join(syllables) + rng.choice(_CODAS)


def _made_up(rng: random.Random) -> str:
    while is_held_out(word := invented(rng), share=0.05):
        pass
    return word


def _stranger(rng: random.Random) -> str:
    nouns, pairs = strangers()
    return rng.choice(nouns if rng.random() < 0.65 else pairs)


def _thing(concepts: Sequence[Concept], rng: random.Random) -> str:
    return with_article(_stranger(rng)) if rng.random() < 0.3 else rng.choice(concepts).phrase


def _unlike(concepts: Sequence[Concept], rng: random.Random) -> str:
    """A thing of a kind that there is no picture of: "a blue unicorn"."""
    known = {concept.name for concept in concepts}
    while (name := f"{rng.choice(grammar('wonder.txt')['quality'])} {rng.choice(concepts).name}") in known:
        pass
    return with_article(name)
