"""What a stream yields: plain values, in the order in which they happen.

SegmentStart("transcript"), TranscriptDelta..., SegmentEnd, SegmentStart("text"), TextDelta..., SegmentEnd,
SegmentStart("speech"), SpeechChunk..., SegmentEnd,
SegmentStart("image"), ImageProgress..., ImageReady, SegmentEnd,
TurnEnd
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image


@dataclass(frozen=True)
class SegmentStart:
    """A run of one modality begins: `"transcript"`, `"text"`, `"image"` or `"speech"`."""

    modality: str


@dataclass(frozen=True)
class TextDelta:
    """More of the reply's text; always whole characters."""

    text: str


@dataclass(frozen=True)
class TranscriptDelta:
    """More of what was heard."""

    text: str


@dataclass(frozen=True, eq=False)
class SpeechChunk:
    """More speech: `pcm`, float32 samples of shape (n,) in [-1, 1], at `sample_rate` Hz."""

    pcm: np.ndarray
    sample_rate: int


@dataclass(frozen=True)
class ImageProgress:
    """`done` of a picture's `total` codes exist; `preview` shows them when previews were asked for."""

    done: int
    total: int
    preview: Image | None = None


@dataclass(frozen=True)
class ImageReady:
    """A whole picture."""

    image: Image


@dataclass(frozen=True)
class SegmentEnd:
    """The run of one modality ends."""

    modality: str


@dataclass(frozen=True)
class Stats:
    """How a turn went; times in seconds.

    Attributes:
        preset: the task whose preset decoded it.
        seed: the seed that gives the same reply again.
        prompt_tokens: ids before the reply; `cached_tokens` of them were in the KV cache already.
        new_tokens: ids of the reply.
        prefill_s: from the start to the first token's hidden state.
        first_chunk_s: from the end of prefill to the first speech; None without speech.
        decode_s: from the end of prefill to the end.
        audio_s: duration of the speech.
        rtf: real-time factor, the time spent in speech segments (codec included) by `audio_s`; None without.
        stop_reason: `"end"` when the model ended by itself, or else the limit that first closed something.
    """

    preset: str
    seed: int
    prompt_tokens: int
    cached_tokens: int
    new_tokens: int
    prefill_s: float
    first_chunk_s: float | None
    decode_s: float
    audio_s: float
    rtf: float | None
    stop_reason: str


@dataclass(frozen=True)
class TurnEnd:
    """The reply is complete."""

    stats: Stats


Event = (
    SegmentStart
    | TextDelta
    | TranscriptDelta
    | SpeechChunk
    | ImageProgress
    | ImageReady
    | SegmentEnd
    | TurnEnd
)
