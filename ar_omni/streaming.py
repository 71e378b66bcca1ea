"""Tokens -> events -> a reply: media are decoded as soon as enough of their codes exist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ar_omni.decoding import Network, Row, State, Token, decode
from ar_omni.decoding.controller import SEGMENTS
from ar_omni.events import (
    Event,
    ImageReady,
    SegmentEnd,
    SegmentStart,
    SpeechChunk,
    Stats,
    TextDelta,
    TranscriptDelta,
    TurnEnd,
)
from ar_omni.media import Audio
from ar_omni.processing import Processor
from ar_omni.segments import SEGMENT_OF

if TYPE_CHECKING:
    from PIL.Image import Image


class Assembler:
    """Turns the tokens of one reply into events, all but its `TurnEnd`.

    Args:
        processor: of the checkpoint.
        previews: whether `ImageProgress` shows the unfinished picture now and then.
    """

    def __init__(self, processor: Processor, previews: bool = False):
        self._processor, self._previews = processor, previews
        vocabulary = processor.vocabulary
        self._span_of = {
            State.TEXT: vocabulary.text,
            State.TRANSCRIPT: vocabulary.text,
            State.IMAGE: vocabulary.image,
            State.SPEECH: vocabulary.speech,
        }
        self._closers = {vocabulary.specials[closer] for _, closer in SEGMENTS.values()}
        self._state: State | None = None
        self._segment: Any = None

    def push(self, token: Token) -> Iterator[Event]:
        if token.state is not self._state:
            yield from self._close()
        if token.state is State.END:
            return
        if self._state is None:
            self._state = token.state
            self._segment = SEGMENT_OF[token.state](self._processor, previews=self._previews)
            yield SegmentStart(token.state.value)
        if token.id in self._span_of[token.state]:
            yield from self._segment.push(self._span_of[token.state].code(token.id))
        elif token.id in self._closers:
            yield from self._close()

    def _close(self) -> Iterator[Event]:
        if self._state is not None:
            yield from self._segment.finish()
            yield SegmentEnd(self._state.value)
        self._state = self._segment = None


@dataclass
class Turn:
    """A reply about to be streamed: its row, and what its `Stats` will say.

    Attributes:
        row: for the loop.
        prompt: the ids that its sequence gets when the stream begins.
        preset: name of the task.
        seed: of the row's sampler.
        previews: whether pictures are shown while they form.
    """

    row: Row
    prompt: list[int]
    preset: str
    seed: int
    previews: bool = False


class _Meter:
    """Times one reply, without the time in which nobody asked for more of it."""

    def __init__(self, turn: Turn):
        self._turn = turn
        self._prompt_tokens, self._cached_tokens = len(turn.row.sequence.ids), turn.row.sequence.length
        self._prefilled: float | None = None
        self._first_chunk: float | None = None
        self._speech_since = self._speech_s = self._audio_s = 0.0

    def token(self, now: float) -> None:
        if self._prefilled is None and self._turn.row.sequence.length > self._cached_tokens:
            self._prefilled = now

    def event(self, event: Event, now: float) -> None:
        match event:
            case SegmentStart(modality="speech"):
                self._speech_since = now
            case SegmentEnd(modality="speech"):
                self._speech_s += now - self._speech_since
            case SpeechChunk(pcm=pcm, sample_rate=rate):
                self._audio_s += len(pcm) / rate
                self._first_chunk = now if self._first_chunk is None else self._first_chunk

    def stats(self, now: float) -> Stats:
        turn, prefilled = self._turn, self._prefilled or 0.0
        return Stats(
            preset=turn.preset,
            seed=turn.seed,
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self._cached_tokens,
            new_tokens=len(turn.row.sequence.ids) - self._prompt_tokens,
            prefill_s=prefilled,
            first_chunk_s=None if self._first_chunk is None else self._first_chunk - prefilled,
            decode_s=now - prefilled,
            audio_s=self._audio_s,
            rtf=self._speech_s / self._audio_s if self._audio_s else None,
            stop_reason=turn.row.controller.cut or "end",
        )


class Stopwatch:
    """Seconds since it was made, without those of pauses."""

    def __init__(self) -> None:
        self._started = perf_counter()

    def now(self) -> float:
        return perf_counter() - self._started

    @contextmanager
    def paused(self) -> Iterator[None]:
        since = perf_counter()
        try:
            yield
        finally:
            self._started += perf_counter() - since


class Narration:
    """The events of one turn, token by token, its `TurnEnd` last. Making it begins the turn.

    Args:
        processor: of the checkpoint.
        turn: its sequence gets the prompt.
        watch: times it.
    """

    def __init__(self, processor: Processor, turn: Turn, watch: Stopwatch):
        turn.row.sequence.ids += turn.prompt
        self._meter, self._watch = _Meter(turn), watch
        self._assembler = Assembler(processor, turn.previews)

    def push(self, token: Token) -> Iterator[Event]:
        self._meter.token(self._watch.now())
        for event in self._assembler.push(token):
            self._meter.event(event, self._watch.now())
            yield event
        if token.state is State.END:
            yield TurnEnd(self._meter.stats(self._watch.now()))


def stream(network: Network, processor: Processor, turns: list[Turn]) -> Iterator[tuple[int, Event]]:
    """Decode a batch: (index of the turn, event) as they happen, each turn's `TurnEnd` last."""
    watch = Stopwatch()
    narrations = [Narration(processor, turn, watch) for turn in turns]
    for token in decode(network, [turn.row for turn in turns]):
        for event in narrations[token.row].push(token):
            with watch.paused():
                yield token.row, event


@dataclass(frozen=True)
class Reply:
    """A whole reply; what it does not hold is None.

    Attributes:
        text: what the model wrote.
        transcript: what it heard.
        images: its pictures.
        audio: its speech.
        stats: how it went.
    """

    text: str | None = None
    transcript: str | None = None
    images: tuple[Image, ...] = ()
    audio: Audio | None = None
    stats: Stats | None = None

    @property
    def image(self) -> Image | None:
        """The first picture."""
        return self.images[0] if self.images else None


def collect(events: Iterable[Event]) -> Reply:
    """All events of one turn -> the reply; `generate` is `collect(stream(...))`."""
    found: dict[type, list] = {}
    for event in events:
        key = (SegmentStart, event.modality) if isinstance(event, SegmentStart) else type(event)
        found.setdefault(key, []).append(event)
    chunks = found.get(SpeechChunk, [])
    audio = Audio(np.concatenate([chunk.pcm for chunk in chunks]), chunks[0].sample_rate) if chunks else None

    def joined(delta: type, modality: str) -> str | None:
        has_segment = (SegmentStart, modality) in found
        return "".join(event.text for event in found.get(delta, [])) if has_segment else None

    return Reply(
        text=joined(TextDelta, "text"),
        transcript=joined(TranscriptDelta, "transcript"),
        images=tuple(event.image for event in found.get(ImageReady, [])),
        audio=audio,
        stats=found[TurnEnd][-1].stats if TurnEnd in found else None,
    )
