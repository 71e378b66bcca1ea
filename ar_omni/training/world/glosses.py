"""What things are, in a few plain words: the first sense of a noun in WordNet (Miller, 1995)."""

from __future__ import annotations

import re
from pathlib import Path

WORDNET = Path("/usr/share/wordnet")
"""Where Debian's package `wordnet-base` puts the database."""
LONGEST = 12
_DOUBTFUL = re.compile(
    r"sex|slut|whore|naked|nude|negro|savage|offensive|disparag|obscene|genital|vulgar|derog"
)
_PLAIN = re.compile(r"[a-z',.?! -]+")


def read_glosses(folder: Path = WORDNET) -> dict[str, str]:
    """Noun -> gloss of its first sense, both in lower-case letters, where that is short and plain enough."""
    senses = {}
    for line in _lines(folder / "index.noun"):
        fields = line.split()
        senses[fields[0].replace("_", " ")] = fields[-int(fields[2])]
    texts = {line[:8]: line.partition(" | ")[2] for line in _lines(folder / "data.noun")}
    found = {noun: _plain(texts[offset]) for noun, offset in senses.items()}
    return {noun: gloss for noun, gloss in found.items() if gloss and not _DOUBTFUL.search(noun + gloss)}


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
