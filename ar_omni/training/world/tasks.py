"""The stream of training conversations: which task comes next, with which words, pictures and speech."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np

from ar_omni.training.reading import reading_targets
from ar_omni.training.world.codes import Codes
from ar_omni.training.world.dialogues import (
    HABITS,
    Exchange,
    Habits,
    conversation,
    default_style,
    is_held_out_conversation,
    trained_pair,
    trained_styles,
)
from ar_omni.training.world.other_words import rephrased, shortened
from ar_omni.training.world.phrases import aliases, caption, recollection, styled
from ar_omni.training.world.pictures import STYLES, Concept, load_concepts
from ar_omni.training.world.splicing import Splicer
from ar_omni.training.world.views import Views
from ar_omni.training.world.voices import MAIN_VOICE
from ar_omni.vocabulary import Vocabulary

Conversation = tuple[list[dict], str]
"""Messages with pre-tokenized media, and the name of the task."""

SHARES = {"speak": 0.26, "transcribe": 0.20, "draw": 0.24, "describe": 0.08, "chat": 0.22}
"""How often each task is drawn."""
LAX = 0.1
"""Share of the drawings with a style named that name any style of the thing, drawn so or not: where a thing
was never seen in the style that is asked for, its name has to count for more."""
MISSEEN = 0.05
"""Share of the codes of a shown picture that are those of another one."""
UNSTYLED = 0.2
"""Share of the pictures described that may be another artist's, and have no style that has a name."""
LEARNED = Habits(
    {**HABITS.openings, "show": 0.5, "explain": 0.4, "name": 0.5}
    | {"wonder": 0.2, "stranger": 0.25, "aside": 0.06, "read": 0.15},
    lengths=(1, 2, 2, 2, 3),
    following=0.3,
)
"""How people talk in what is learned: what a picture shows, asked after other things, is hardest, and much
that they ask nobody has foreseen."""
OTHER_WORDS = 0.5
"""Share of what is said in conversations that is said in other words than those it is evaluated with."""
OTHER_VOICES = 0.5
"""Share of what is written down that another voice says, and of the requests that one has said."""


@dataclass(frozen=True)
class World:
    """Tokenized material.

    Attributes:
        concepts: what can be drawn.
        pictures: int (concepts, styles, codes).
        speech: text -> its codes in the main voice.
        word_ends: text -> the code after each of its words; texts whose words run together are not in it.
        others: (text, codes) in other voices.
        views: of the pictures, as they may be shown; without any, what is shown is what is drawn.
    """

    concepts: tuple[Concept, ...]
    pictures: np.ndarray
    speech: dict[str, np.ndarray]
    word_ends: dict[str, list[int]]
    others: tuple[tuple[str, np.ndarray], ...] = ()
    views: Views | None = None

    @classmethod
    def load(cls, folder: Path, groups: Collection[str] = ()) -> World:
        """Reads what `train/tokenize_world.py` wrote; with `groups`, no other group's pictures."""
        concepts = tuple(load_concepts(folder / "concepts.json", groups))
        codes = Codes.load(folder / "codes.npz")
        numbers = [concept.number for concept in concepts]
        views = Views.load(folder / "views.npz", numbers) if (folder / "views.npz").exists() else None
        spoken = list(zip(codes.texts, codes.voices, codes.speech, codes.word_ends, strict=True))
        speech = {text: row for text, voice, row, _ in spoken if voice == MAIN_VOICE}
        word_ends = {text: ends for text, voice, _, ends in spoken if voice == MAIN_VOICE and ends}
        others = tuple((text, row) for text, voice, row, _ in spoken if voice != MAIN_VOICE)
        return cls(concepts, codes.pictures[numbers], speech, word_ends, others, views)

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
        words = text.split()
        length = rng.randint(1, min(longest, len(words)))
        first = rng.randint(0, len(words) - length)
        return " ".join(words[first : first + length]), *self.splicer.cut(text, first, first + length)

    @cached_property
    def _split(self) -> list[str]:
        return sorted(self.word_ends)

    @cached_property
    def splicer(self) -> Splicer:
        return Splicer(self.speech, self.word_ends)

    def picture(self, index: int, style: str) -> dict:
        return {"type": "image", "codes": self.pictures[index, STYLES.index(style)].tolist()}

    def shown(self, index: int, style: str | None, rng: random.Random) -> dict:
        """A picture of a thing as a person shows it; without a style, any artist's."""
        if not self.views:
            return self.picture(index, style or default_style(self.concepts[index]))
        seen = self.views.of(index, style, rng)
        other = self.views.of(rng.randrange(len(self.concepts)), None, rng)
        codes = [wrong if rng.random() < MISSEEN else code for code, wrong in zip(seen, other, strict=True)]
        return {"type": "image", "codes": [int(code) for code in codes]}

    def request(self, text: str, rng: random.Random) -> list[dict]:
        """The part in which a user says `text`: another voice's, or one like a reply's."""
        known = self._said_by_others.get(text)
        if known and rng.random() < OTHER_VOICES:
            return [{"type": "audio", "codes": rng.choice(known).tolist()}]
        return self.audio(text, rng)

    @cached_property
    def _said_by_others(self) -> dict[str, list[np.ndarray]]:
        said: dict[str, list[np.ndarray]] = {}
        for text, codes in self.others:
            said.setdefault(text, []).append(codes)
        return said

    def audio(self, text: str, rng: random.Random) -> list[dict]:
        """The part that says `text`: recorded, or spliced; none at all if a word of it was never said."""
        codes = self.speech.get(text)
        if codes is None or rng.random() < 0.3:
            spliced = self.splicer.say(text, rng)
            codes = codes if spliced is None else spliced
        return [] if codes is None else [{"type": "audio", "codes": codes.tolist()}]


def letters(messages: list[dict], task: str, input_ids: list[int], vocabulary: Vocabulary) -> list[int]:
    """The reading targets of a text read aloud or written down; empty where words' ends are not known."""
    if task not in ("speak", "transcribe"):
        return []
    parts = {part["type"]: part for message in messages for part in message["content"]}
    text = (parts.get("text") or parts["transcript"])["text"]
    start = 1 if task == "speak" else input_ids.index(vocabulary.specials["ins"]) + 1
    closer = vocabulary.specials["eoh" if task == "speak" else "res"]
    if input_ids[start + len(text)] != closer:  # a letter that is spelt in bytes
        return []
    return reading_targets(input_ids, text.split(" "), parts["audio"]["word_ends"], vocabulary.boa_id, start)


def _text(text: str) -> dict:
    return {"type": "text", "text": text}


def _turns(user: list[dict], assistant: list[dict]) -> list[dict]:
    return [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]


def _speak(world: World, rng: random.Random, progress: float) -> Conversation:
    text, audio = _reading(world, rng, progress, spliced=0.7)
    return _turns([_text(text)], [audio]), "speak"


def _transcribe(world: World, rng: random.Random, progress: float) -> Conversation:
    if world.others and rng.random() < OTHER_VOICES:
        text, codes = rng.choice(world.others)
        audio = {"type": "audio", "codes": codes.tolist(), "word_ends": []}
    else:
        text, audio = _reading(world, rng, progress, spliced=0.5)
    return _turns([worn(audio, rng)], [{"type": "transcript", "text": text}]), "transcribe"


def worn(audio: dict, rng: random.Random, share: float = 0.04) -> dict:
    """What another speaker might leave of a recording: some codes are missing, others said twice."""
    heard: list[int] = []
    places = []
    for code in audio["codes"]:
        places.append(len(heard))
        chance = rng.random()
        heard += [code] * (0 if chance < share else 2 if chance < 2 * share else 1)
    places.append(len(heard))
    return {**audio, "codes": heard, "word_ends": [places[end] for end in audio.get("word_ends", ())]}


def _reading(world: World, rng: random.Random, progress: float, spliced: float) -> tuple[str, dict]:
    """A text and its speech; a share is spliced from runs of words: none is learned by heart. Of both kinds
    some are as long as anything that will be read aloud."""
    if rng.random() < spliced:
        runs = [world.run(rng) for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 6)))]
    else:
        lines = [world.line(rng, progress) for _ in range(rng.choice((1, 1, 1, 1, 1, 2, 3)))]
        runs = [(line, world.speech[line], world.word_ends.get(line, [])) for line in lines]
    texts, pieces, ends = zip(*runs, strict=True)
    codes = np.concatenate(pieces)
    starts = [0, *accumulate(map(len, pieces))]
    told = all(ends)  # else it is not known where the words of the whole end
    word_ends = [start + end for start, own in zip(starts, ends, strict=False) for end in own] if told else []
    return " ".join(texts), {
        "type": "audio",
        "codes": codes.tolist(),
        "word_ends": word_ends,
    }


def _draw(world: World, rng: random.Random, _: float) -> Conversation:
    index, style = trained_pair(world.concepts, rng)
    concept = world.concepts[index]
    asked = None if style == default_style(concept) and rng.random() < 0.4 else style
    if asked and rng.random() < LAX:
        asked = rng.choice(trained_styles(concept))
    called = (concept.phrase, concept.phrase, concept.name, *aliases().get(concept.name, ()))
    prompt = styled(rng.choice(called), asked)
    return _turns([_text(prompt)], [world.picture(index, style)]), "draw"


def _describe(world: World, rng: random.Random, _: float) -> Conversation:
    index, style = trained_pair(world.concepts, rng)
    style = None if rng.random() < UNSTYLED else style
    told = _text(caption(world.concepts[index], style))
    return _turns([world.shown(index, style, rng)], [told]), "describe"


def _chat(world: World, rng: random.Random, _: float) -> Conversation:
    exchanges = conversation(world.concepts, rng, LEARNED)
    while is_held_out_conversation(exchanges):
        exchanges = conversation(world.concepts, rng, LEARNED)
    exchanges = in_other_words(exchanges, rng)
    return [message for exchange in exchanges for message in _messages(world, rng, exchange)], "chat"


def in_other_words(exchanges: list[Exchange], rng: random.Random) -> list[Exchange]:
    """A share of what is said in other words; what is asked to be read out or recalled fits what was said."""
    said: list[Exchange] = []
    for exchange in exchanges:
        if exchange.kind == "recall":
            exchange = replace(exchange, answer=recollection(said[-1].said))
        elif exchange.kind not in ("say", "read") and rng.random() < OTHER_WORDS:
            change = shortened if exchange.kind == "small_talk" else rephrased
            exchange = replace(exchange, said=change(exchange.said, rng))
        said.append(exchange)
    return said


def _messages(world: World, rng: random.Random, exchange: Exchange) -> list[dict]:
    """An exchange as it is learned: mostly spoken, and the reply in text, often in speech, and a picture."""
    said, reply = [_text(exchange.said)], [_text(exchange.answer)]
    if rng.random() < 0.6 and (audio := world.request(exchange.said, rng)):
        said = [worn(part, rng) for part in audio]
        reply.insert(0, {"type": "transcript", "text": exchange.said})
    if rng.random() < 0.7:
        reply += world.audio(exchange.answer, rng)
    shown = [world.shown(*exchange.shown, rng)] if exchange.shown else []
    drawn = [world.picture(*exchange.drawn)] if exchange.drawn else []
    return _turns([*shown, *said], [*reply, *drawn])


_BUILDERS: dict[str, Callable[[World, random.Random, float], Conversation]] = {
    "speak": _speak,
    "transcribe": _transcribe,
    "draw": _draw,
    "describe": _describe,
    "chat": _chat,
}
