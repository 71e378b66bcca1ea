"""A message and its reply as the page shows them: events are folded in while they come."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ar_omni.events import (
    Event,
    ImageProgress,
    ImageReady,
    SegmentEnd,
    SpeechChunk,
    Stats,
    TextDelta,
    TranscriptDelta,
    TurnEnd,
)
from ar_omni.media import Audio
from ar_omni.serving.engine import Waiting

if TYPE_CHECKING:
    from PIL.Image import Image

    from ar_omni.messages import Part

PATIENCE_S = 0.5
"""How long whoever listens waits for samples before it looks around."""


class Speech:
    """Samples that are still being made; any number of listeners read them from the start."""

    def __init__(self) -> None:
        self.sample_rate = 0
        self._chunks: list[np.ndarray] = []
        self._changed = threading.Condition()
        self.ended = False

    def __len__(self) -> int:
        """How many samples there are."""
        return sum(map(len, self._chunks))

    @property
    def audio(self) -> Audio:
        """All of it so far."""
        return Audio(np.concatenate(self._chunks), self.sample_rate)

    def push(self, pcm: np.ndarray, sample_rate: int) -> None:
        """Samples (n,) in [-1, 1], and their rate in Hz, which does not change."""
        with self._changed:
            self.sample_rate = sample_rate
            self._chunks.append(pcm)
            self._changed.notify_all()

    def end(self, kept: int | None = None) -> None:
        """No more will come; `kept` cuts it to so many samples."""
        with self._changed:
            if kept is not None and kept < len(self):
                self._chunks = [np.concatenate(self._chunks)[:kept]]
            self.ended = True
            self._changed.notify_all()

    def listen(self) -> Iterator[bytes]:
        """Little-endian float32 samples as they come, until the end; empty bytes while nothing comes."""
        taken = 0
        while True:
            with self._changed:
                if taken == len(self._chunks) and not self.ended:
                    self._changed.wait(PATIENCE_S)
                new, ended = self._chunks[taken:], self.ended
            taken += len(new)
            yield b"".join(chunk.astype("<f4").tobytes() for chunk in new)
            if ended:
                return


@dataclass(frozen=True)
class Heard:
    """How many samples of a turn's speech were played."""

    turn_id: str
    samples: int


@dataclass(eq=False)
class Turn:
    """One message and what came of it.

    Attributes:
        parts: the message, checked; its media are values in memory.
        asked: how the reply was asked for, as `Chat.stream` takes it.
        depth: messages that the conversation remembered before this one.
        id: names its media; nobody can guess it.
        place: how many replies go first; None once it has begun.
        transcript: what was heard.
        text: what the model wrote.
        picture: the picture, or the latest preview of it, of which there were `previews`.
        progress: the share of its codes that exist; the last preview is still shown when all of them do.
        whole: whether the picture is there, no preview of it.
        speech: what it says.
        stats: how it went, once it has ended by itself.
        note: why it ended otherwise, for people to read.
        warning: what else people should know about it.
        ended: whether it did.
    """

    parts: Sequence[Part]
    asked: Mapping[str, Any]
    depth: int = 0
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    place: int | None = None
    transcript: str = ""
    text: str = ""
    picture: Image | None = None
    previews: int = 0
    progress: float = 0.0
    whole: bool = False
    speech: Speech = field(default_factory=Speech)
    stats: Stats | None = None
    note: str = ""
    warning: str = ""
    ended: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing of a reply has come."""
        return not (self.text or self.picture or self.progress or len(self.speech))

    @property
    def nbytes(self) -> int:
        """About how much memory its media take."""
        pictures = [part["image"] for part in self.parts if part["type"] == "image"]
        pictures += [self.picture] if self.picture else []
        samples = [part["audio"].samples.size for part in self.parts if part["type"] == "audio"]
        return sum(3 * image.width * image.height for image in pictures) + 4 * (
            sum(samples) + len(self.speech)
        )

    def take(self, event: Event | Waiting) -> None:
        """Fold in what happened."""
        self.place = event.place if isinstance(event, Waiting) else None
        match event:
            case TextDelta(text=text):
                self.text += text
            case TranscriptDelta(text=text):
                self.transcript += text
            case ImageProgress(done=done, total=total, preview=preview):
                self.progress = done / total
                if preview:
                    self.picture, self.previews = preview, self.previews + 1
            case ImageReady(image=image):
                self.picture, self.progress, self.whole = image, 1.0, True
            case SpeechChunk(pcm=pcm, sample_rate=rate):
                self.speech.push(pcm, rate)
            case SegmentEnd(modality="speech"):
                self.speech.end()
            case TurnEnd(stats=stats):
                self.stats = stats
                self.end()

    def end(self, note: str = "", heard: int | None = None) -> None:
        """It is over, unless it was; only `heard` samples of its speech were played, None: all of them."""
        self.speech.end(heard)
        if not self.ended or heard is not None:
            self.note = note
        if not self.ended and not self.whole:  # the conversation does not keep unfinished pictures either
            self.picture, self.progress = None, 0.0
        self.place, self.ended = None, True
