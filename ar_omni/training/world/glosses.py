"""Out of WordNet (Miller, 1995): what things are, in a few plain words, and what other things there are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from .phrases import aliases
from .pictures import Concept

WORDNET = Path("/usr/share/wordnet")
"""Where Debian's package `wordnet-base` puts the database."""
LONGEST = 12
_DOUBTFUL = re.compile(
    r"sex|slut|whore|naked|nude|negro|savage|offensive|disparag|obscene|genital|vulgar|derog"
)
_DELICATE = re.compile(r"skin|\brace\b|racial|ethnic|religio|\bdrug|suicid|\bkill|nazi|terroris")
_NOUN = re.compile("[a-z]{3,12}")
_PAIR = re.compile("[a-z]{3,10} [a-z]{3,10}")
_PLAIN = re.compile(r"[a-z',.?! -]+")


def read_glosses(folder: Path = WORDNET) -> dict[str, str]:
    """Noun -> gloss of its first sense, both in lower-case letters, where that is short and plain enough."""
    found = {noun: _plain(text) for noun, (text, _) in _nouns(folder).items()}
    return {noun: gloss for noun, gloss in found.items() if gloss and not _DOUBTFUL.search(noun + gloss)}


def read_strangers(concepts: Sequence[Concept], folder: Path = WORDNET) -> tuple[list[str], list[str]]:
    """(nouns, pairs of words) for what is none of the concepts, most used ones first: `strangers.txt`.

    A noun is in use, and no word of a name, of what people call a thing, or of a search word. A pair has a
    word of a name in it, which makes it no more known: "apple pie", "door key".
    """
    called = [re.sub("^(an?|the) ", "", said) for others in aliases().values() for said in others]
    names = [concept.name for concept in concepts] + called
    whole = {*names, *(tag for concept in concepts for tag in concept.tags)}
    taken = {form for word in _words(whole) for form in (word, f"{word}s", f"{word}es", word.rstrip("s"))}
    named = _words(name for name in names if not name.startswith("flag of "))
    used = {
        noun: count
        for noun, (text, count) in _nouns(folder).items()
        if not _DOUBTFUL.search(noun + text) and not _DELICATE.search(noun + text)
    }
    common = {noun for noun, count in used.items() if count > 2} | named
    nouns = [
        noun
        for noun, count in used.items()
        if count and _NOUN.fullmatch(noun) and not {noun, noun.rstrip("s")} & taken
    ]
    pairs = [
        noun
        for noun in used
        if _PAIR.fullmatch(noun) and noun not in whole
        if common.issuperset(noun.split()) and not named.isdisjoint(noun.split())
    ]
    nouns, pairs = (sorted(found, key=lambda noun: (-used[noun], noun)) for found in (nouns, pairs))
    return nouns, pairs


def _nouns(folder: Path) -> dict[str, tuple[str, int]]:
    """Noun -> the text of its first sense, and in how many senses it was found in use."""
    texts = {line[:8]: line.partition(" | ")[2] for line in _lines(folder / "data.noun")}
    rows = [line.split() for line in _lines(folder / "index.noun")]
    # word, ..., number of senses, number of those in use, a place in the texts for each sense
    return {row[0].replace("_", " "): (texts[row[-int(row[2])]], int(row[-int(row[2]) - 1])) for row in rows}


def _words(texts: Iterable[str]) -> set[str]:
    return {word for text in texts for word in text.split()}


def read_examples(folder: Path = WORDNET) -> list[str]:
    """Example sentences of all senses: plain words, 3 to 12 of them, each once and sorted."""
    found = {
        example.lower()
        for part in ("noun", "verb", "adj", "adv")
        for line in _lines(folder / f"data.{part}")
        for example in re.findall(r'"([^"]*)"', line.partition(" | ")[2])
    }
    return sorted(
        text
        for text in found
        if _PLAIN.fullmatch(text) and 3 <= len(text.split()) <= LONGEST and not _DOUBTFUL.search(text)
    )


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="latin-1").splitlines() if not line.startswith(" ")]


def _plain(gloss: str) -> str:
    """The gloss without examples and asides, cut at a clause to at most a dozen words; "" if that fails."""
    text = re.sub(r"\([^)]*\)", "", gloss.split('"')[0].split(";")[0]).lower()
    text = re.sub(r"[^a-z', ]", "", re.sub(r"[\s-]+", " ", text))
    words = text.strip(" ,").replace(" ,", ",").split()
    while len(words) > LONGEST and any(word.endswith(",") for word in words[:LONGEST]):
        words = words[: max(i for i, word in enumerate(words[:LONGEST]) if word.endswith(",")) + 1]
        words[-1] = words[-1].rstrip(",")
    return " ".join(words) if 2 <= len(words) <= LONGEST else ""
