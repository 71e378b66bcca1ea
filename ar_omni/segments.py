"""What becomes of the codes of one segment, while they come: text, progress and a picture, or sound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ar_omni.decoding import State
from ar_omni.events import Event, ImageProgress, ImageReady, SpeechChunk, TextDelta, TranscriptDelta
from ar_omni.processing import Processor

if TYPE_CHECKING:
    from PIL.Image import Image

CHUNKS = (4, 8, 16, 25)
"""Codes in the first, second, ... chunk of speech, the last for all that follow: a quick start first."""
PROGRESS_STEPS = 16
PREVIEWS = 4


class TextSegment:
    """Codes -> text, whole characters at a time."""

    def __init__(self, processor: Processor, delta: type = TextDelta, **_: Any):
        self._detokenizer = processor.text_tokenizer.detokenizer()
        self._delta = delta

    def push(self, code: int) -> Iterator[Event]:
        if text := self._detokenizer.push(code):
            yield self._delta(text)

    def finish(self) -> Iterator[Event]:
        if text := self._detokenizer.flush():
            yield self._delta(text)


class TranscriptSegment(TextSegment):
    """Codes -> what was heard."""

    def __init__(self, processor: Processor, **_: Any):
        super().__init__(processor, TranscriptDelta)


class ImageSegment:
    """Codes -> progress, previews if asked for, and the picture."""

    def __init__(self, processor: Processor, previews: bool = False):
        self._processor = processor
        self._codes: list[int] = []
        self._total = processor.template.codes_per_image
        self._previews = previews

    def push(self, code: int) -> Iterator[Event]:
        self._codes.append(code)
        done = len(self._codes)
        if done % max(1, self._total // PROGRESS_STEPS) == 0 or done == self._total:
            wanted = self._previews and done < self._total and done % max(1, self._total // PREVIEWS) == 0
            yield ImageProgress(done, self._total, self._decode() if wanted else None)

    def finish(self) -> Iterator[Event]:
        yield ImageReady(self._decode())

    def _decode(self) -> Image:
        missing = self._total - len(self._codes)
        return self._processor.image_tokenizer.decode(self._codes + self._codes[-1:] * missing)


class SpeechSegment:
    """Codes -> samples, in chunks that grow."""

    def __init__(self, processor: Processor, **_: Any):
        self._rate = processor.speech_tokenizer.sample_rate
        self._stream = processor.speech_tokenizer.streamer()
        self._waiting: list[int] = []
        self._sizes = iter(CHUNKS)
        self._size = next(self._sizes)

    def push(self, code: int) -> Iterator[Event]:
        self._waiting.append(code)
        if len(self._waiting) == self._size:
            self._size = next(self._sizes, self._size)
            yield from self._decode()

    def finish(self) -> Iterator[Event]:
        if self._waiting:
            yield from self._decode()
        yield from self._chunk(self._stream.flush())

    def _decode(self) -> Iterator[Event]:
        codes, self._waiting = self._waiting, []
        yield from self._chunk(self._stream.push(codes))

    def _chunk(self, pcm: np.ndarray) -> Iterator[Event]:
        if len(pcm):
            yield SpeechChunk(pcm, self._rate)


SEGMENT_OF = {
    State.TEXT: TextSegment,
    State.TRANSCRIPT: TranscriptSegment,
    State.IMAGE: ImageSegment,
    State.SPEECH: SpeechSegment,
}
