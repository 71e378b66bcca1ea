"""The stream of training conversations: which task comes next, with which words, pictures and speech."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ar_omni.training.reading import reading_targets
from ar_omni.training.world.dialogues import (
    QUESTIONS,
    REQUESTS,
    SMALL_TALK,
    caption,
    name_reply,
    show_reply,
    styled,
)
from ar_omni.training.world.pictures import STYLES, Concept, is_held_out_pair

Conversation = tuple[list[dict], str]
"""Messages with pre-tokenized media, and the name of the task."""

SHARES = {
    "speak": 0.30,
    "transcribe": 0.30,
    "draw": 0.15,
    "describe": 0.09,
    "show": 0.10,
    "name": 0.02,
    "small_talk": 0.04,
}
"""How often each task is drawn."""


@dataclass(frozen=True)
class World:
    """Tokenized material: `speech` maps a text to its codes, `pictures` is (concepts, styles, codes).

    `word_ends` maps a text to the code after each of its words; texts whose words run together are not in it.
    """

    concepts: tuple[Concept, ...]
    pictures: np.ndarray
    speech: dict[str, np.ndarray]
    word_ends: dict[str, list[int]]

    @classmethod
    def load(cls, folder: Path) -> World:
        """Reads what `train/tokenize_world.py` wrote."""
        rows = json.loads((folder / "concepts.json").read_text())
        concepts = tuple(Concept(**{**row, "tags": tuple(row["tags"])}) for row in rows)
        with np.load(folder / "codes.npz", allow_pickle=False) as data:
            texts = data["texts"].tolist()
            pieces = np.split(data["speech"], np.cumsum(data["lengths"])[:-1])
            ends = np.split(data["word_ends"], np.cumsum(data["word_counts"])[:-1])
            spoken = {text: (codes, row) for text, codes, row in zip(texts, pieces, ends, strict=True)}
            speech = {text: codes for text, (codes, _) in spoken.items()}
            word_ends = {text: row.tolist() for text, (_, row) in spoken.items() if len(row)}
            return cls(concepts, data["pictures"], speech, word_ends)

    @cached_property
    def lines(self) -> list[str]:
        """Every spoken text, shortest speech first: a prefix of it is the curriculum's easy part."""
        return sorted(self.speech, key=lambda text: len(self.speech[text]))

    def conversation(
        self, rng: random.Random, progress: float, shares: Mapping[str, float] | None = None
    ) -> Conversation:
        """One training conversation; `progress` in [0, 1] widens speech from phrases to sentences."""
        shares = shares or SHARES
        kind = rng.choices(list(shares), weights=shares.values())[0]
        return _BUILDERS[kind](self, rng, progress)

    def line(self, rng: random.Random, progress: float) -> str:
        """A spoken text from the curriculum's part that `progress` has reached: all of it after half way."""
        reach = min(1.0, 0.4 + 1.2 * progress)
        return self.lines[int(rng.random() * reach * len(self.lines))]

    def run(self, rng: random.Random, longest: int = 5) -> tuple[str, np.ndarray, list[int]]:
        """A run of 1 to `longest` words out of any text, its codes, and where each word ends."""
        text = rng.choice(self._split)
        words, ends = text.split(), self.word_ends[text]
        length = rng.randint(1, min(longest, len(words)))
        first = rng.randint(0, len(words) - length)
        start = ends[first - 1] if first else 0
        own = [end - start for end in ends[first : first + length]]
        return " ".join(words[first : first + length]), self.speech[text][start : start + own[-1]], own

    @cached_property
    def _split(self) -> list[str]:
        return sorted(self.word_ends)

    def pair(self, rng: random.Random) -> tuple[int, str]:
        """A concept's index and a style that it may be trained in."""
        while True:
            index, style = rng.randrange(len(self.concepts)), rng.choice(STYLES)
            if not is_held_out_pair(self.concepts[index].name, style):
                return index, style

    def picture(self, index: int, style: str) -> dict:
        return {"type": "image", "codes": self.pictures[index, STYLES.index(style)].tolist()}

    def audio(self, text: str) -> dict:
        return {"type": "audio", "codes": self.speech[text].tolist()}


def read_aloud(messages: list[dict], task: str, input_ids: list[int], boa_id: int) -> list[int]:
    """The reading targets of a conversation: known for texts read aloud whose words' ends are, else none."""
    if task != "speak":
        return []
    text, audio = (message["content"][0] for message in messages)
    return reading_targets(input_ids, text["text"].split(" "), audio["word_ends"], boa_id)


def _text(text: str) -> dict:
    return {"type": "text", "text": text}


def _turns(user: list[dict], assistant: list[dict]) -> list[dict]:
    return [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]


def _speak(world: World, rng: random.Random, progress: float) -> Conversation:
    text, audio = _reading(world, rng, progress, spliced=0.7)
    return _turns([_text(text)], [audio]), "speak"


def _transcribe(world: World, rng: random.Random, progress: float) -> Conversation:
    text, audio = _reading(world, rng, progress, spliced=0.5)
    return _turns([audio], [{"type": "transcript", "text": text}]), "transcribe"


def _reading(world: World, rng: random.Random, progress: float, spliced: float) -> tuple[str, dict]:
    """A text and its speech; a share is spliced from one to three runs of words: none is learned by heart."""
    if rng.random() < spliced:
        runs = [world.run(rng) for _ in range(rng.choice((1, 1, 1, 2, 2, 3)))]
    else:
        line = world.line(rng, progress)
        runs = [(line, world.speech[line], world.word_ends.get(line, []))]
    codes = np.concatenate([codes for _, codes, _ in runs])
    starts = np.cumsum([0] + [len(codes) for _, codes, _ in runs])
    word_ends = [int(start) + end for start, (_, _, ends) in zip(starts, runs, strict=False) for end in ends]
    return " ".join(text for text, _, _ in runs), {
        "type": "audio",
        "codes": codes.tolist(),
        "word_ends": word_ends,
    }


def _draw(world: World, rng: random.Random, _: float) -> Conversation:
    index, style = world.pair(rng)
    concept = world.concepts[index]
    prompt = styled(rng.choice((concept.phrase, concept.phrase, concept.name)), style)
    return _turns([_text(prompt)], [world.picture(index, style)]), "draw"


def _describe(world: World, rng: random.Random, _: float) -> Conversation:
    index, style = world.pair(rng)
    return _turns([world.picture(index, style)], [_text(caption(world.concepts[index], style))]), "describe"


def _show(world: World, rng: random.Random, _: float) -> Conversation:
    index, style = world.pair(rng)
    concept = world.concepts[index]
    asked_style = rng.choice((style, None))
    request = rng.choice(REQUESTS).format(thing=styled(concept.phrase, asked_style))
    spoken = [
        (line, spoken_style or style)
        for template in REQUESTS
        for spoken_style in (*STYLES, None)
        if (line := template.format(thing=styled(concept.phrase, spoken_style))) in world.speech
        and not is_held_out_pair(concept.name, spoken_style or style)
    ]
    user, answer = [_text(request)], [_text(show_reply(concept))]
    if spoken and rng.random() < 0.7:
        request, style = rng.choice(spoken)
        user, answer = [world.audio(request)], [{"type": "transcript", "text": request}, *answer]
    drawn = [world.picture(index, style)] if rng.random() < 0.85 else []  # words alone can be asked for
    return _turns(user, [*answer, *_aloud(world, rng, show_reply(concept)), *drawn]), "chat"


def _name(world: World, rng: random.Random, _: float) -> Conversation:
    index, style = world.pair(rng)
    question, reply = rng.choice(QUESTIONS), name_reply(world.concepts[index])
    picture = world.picture(index, style)
    if question in world.speech and rng.random() < 0.5:
        answer = [{"type": "transcript", "text": question}, _text(reply)]
        return _turns([picture, world.audio(question)], [*answer, *_aloud(world, rng, reply)]), "chat"
    return _turns([picture, _text(question)], [_text(reply), *_aloud(world, rng, reply)]), "chat"


def _small_talk(world: World, rng: random.Random, _: float) -> Conversation:
    phrasings, reply = rng.choice(SMALL_TALK)
    said = rng.choice(phrasings)
    if said in world.speech and rng.random() < 0.6:
        user, answer = [world.audio(said)], [{"type": "transcript", "text": said}, _text(reply)]
    else:
        user, answer = [_text(said)], [_text(reply)]
    return _turns(user, [*answer, *_aloud(world, rng, reply)]), "chat"


def _aloud(world: World, rng: random.Random, reply: str) -> list[dict]:
    """The spoken reply, most of the time, where it was recorded."""
    return [world.audio(reply)] if reply in world.speech and rng.random() < 0.7 else []


_BUILDERS: dict[str, Callable[[World, random.Random, float], Conversation]] = {
    "speak": _speak,
    "transcribe": _transcribe,
    "draw": _draw,
    "describe": _describe,
    "show": _show,
    "name": _name,
    "small_talk": _small_talk,
}
