"""Everyday sentences: a seeded walk through `grammar.txt`, and the rule that holds some out."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

_SLOT = re.compile(r"\{(\w+)\}")
_WORD = re.compile(r"[a-z']+")


Grammar = Mapping[str, Sequence[str]]
"""Slot -> its expansions."""


@cache
def grammar(name: str = "grammar.txt") -> Grammar:
    """The slots of a file beside this one and their expansions."""
    lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    slots = re.findall(r"^(\w+) =(.*(?:\n    .*)*)", text, flags=re.M)
    return {
        slot: [option.strip() for option in options.split("|") if option.strip()] for slot, options in slots
    }


def expand(slot: str, rng: random.Random, slots: Grammar | None = None) -> str:
    """A random expansion of `slot`, one of `grammar()` if no slots are given; a missing one is a KeyError."""
    slots = grammar() if slots is None else slots
    return _SLOT.sub(lambda match: expand(match[1], rng, slots), rng.choice(slots[slot]))


def is_held_out(text: str, share: float = 0.02) -> bool:
    """Whether `text` belongs to the evaluation side: a hash of its words decides, no list is needed."""
    words = " ".join(_WORD.findall(text.lower()))
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=4).digest()) < share * 2**32


def _sentence(rng: random.Random) -> str:
    text = re.sub(r"\ba (?=[aeiou])", "an ", expand("sentence", rng))
    return text[0].upper() + text[1:]


def sentences(seed: int, max_words: int = 12, held_out: bool = False) -> Iterator[str]:
    """Endless distinct sentences of at most `max_words` words from one side of the split."""
    rng, seen = random.Random(seed), set()
    while True:
        text = _sentence(rng)
        if text not in seen and len(text.split()) <= max_words and is_held_out(text) is held_out:
            seen.add(text)
            yield text


def remark(rng: random.Random, max_words: int = 10) -> str:
    """A random sentence of the training side."""
    while True:
        text = _sentence(rng)
        if len(text.split()) <= max_words and not is_held_out(text):
            return text


def statement(rng: random.Random, max_words: int = 10) -> str:
    """A random sentence of the training side that states something."""
    while not (text := remark(rng, max_words)).endswith("."):
        pass
    return text


def joined(seed: int, shortest: int = 19, longest: int = 21, held_out: bool = False) -> Iterator[str]:
    """Endless sentences of about twenty words: two statements from one side of the split, joined."""
    statements = (text for text in sentences(seed, held_out=held_out) if text.endswith("."))
    for first, second in zip(statements, statements, strict=False):
        own = second.startswith("I ")
        text = f"{first[:-1]}, and {second if own else second[0].lower() + second[1:]}"
        if shortest <= len(text.split()) <= longest:
            yield text
