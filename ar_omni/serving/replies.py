"""Replies and their events in the shapes that OpenAI's clients read."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from io import BytesIO
from typing import Any

from PIL.Image import Image

from ar_omni.errors import AROmniError
from ar_omni.events import Event, ImageReady, SpeechChunk, Stats, TextDelta, TranscriptDelta, TurnEnd
from ar_omni.serving.engine import Waiting
from ar_omni.serving.errors import error_body
from ar_omni.serving.sound import Encoder, Format, encode
from ar_omni.streaming import Reply

AUDIO_LIFE_S = 3600


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def picture_bytes(image: Image, form: str = "png") -> bytes:
    """The picture as a file."""
    file = BytesIO()
    image.save(file, form.upper())
    return file.getvalue()


def data_url(image: Image, form: str = "png") -> str:
    return f"data:image/{form};base64,{base64_of(picture_bytes(image, form))}"


def usage(stats: Stats) -> dict[str, int]:
    total = stats.prompt_tokens + stats.new_tokens
    return {
        "prompt_tokens": stats.prompt_tokens,
        "completion_tokens": stats.new_tokens,
        "total_tokens": total,
    }


def _finish_reason(stats: Stats) -> str:
    return "stop" if stats.stop_reason == "end" else "length"


def _head(kind: str, model: str) -> dict[str, Any]:
    name = f"chatcmpl-{uuid.uuid4().hex}"
    return {"id": name, "object": kind, "created": int(time.time()), "model": model}


def _picture_part(image: Image) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_url(image)}}


def completion(reply: Reply, model: str, form: Format) -> dict[str, Any]:
    """`chat.completion`: pictures are in `message.images`, what was heard in `message.transcript`."""
    head = _head("chat.completion", model)
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None}
    if reply.transcript is not None:
        message["transcript"] = reply.transcript
    if reply.images:
        message["images"] = [_picture_part(image) for image in reply.images]
    if reply.audio is not None:
        message["audio"] = {
            "id": head["id"].replace("chatcmpl", "audio"),
            "data": base64_of(encode(reply.audio, form)),
            "transcript": reply.text or "",
            "expires_at": head["created"] + AUDIO_LIFE_S,
        }
    reason = _finish_reason(reply.stats)
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
    return head | {"choices": [choice], "usage": usage(reply.stats), "stats": asdict(reply.stats)}


class Chunks:
    """Events -> `chat.completion.chunk` objects.

    Args:
        model: the name of the model.
        form: of the speech.
        with_usage: whether the last chunk is the usage.
    """

    def __init__(self, model: str, form: Format, with_usage: bool = False):
        self._head = _head("chat.completion.chunk", model)
        self._audio_id = self._head["id"].replace("chatcmpl", "audio")
        self._form, self._with_usage = form, with_usage
        self._encoder: Encoder | None = None

    def first(self) -> dict[str, Any]:
        return self._chunk({"role": "assistant", "content": ""})

    def of(self, event: Event | Waiting) -> Iterator[dict[str, Any]]:
        """The chunks that an event becomes; most become one, some none."""
        match event:
            case TextDelta(text=text):
                yield self._chunk({"content": text})
            case TranscriptDelta(text=text):
                yield self._chunk({"transcript": text})
            case ImageReady(image=image):
                yield self._chunk({"images": [_picture_part(image)]})
            case SpeechChunk(pcm=pcm, sample_rate=rate):
                self._encoder = self._encoder or Encoder(self._form, rate)
                yield from self._audio(self._encoder.push(pcm))
            case TurnEnd(stats=stats):
                if self._encoder:
                    yield from self._audio(self._encoder.finish())
                yield self._chunk({}, _finish_reason(stats), stats=asdict(stats))
                if self._with_usage:
                    yield self._head | {"choices": [], "usage": usage(stats)}

    def close(self) -> None:
        """Let go of the speech, whether it ended or the client went away."""
        if self._encoder:
            self._encoder.close()

    def _audio(self, data: bytes) -> Iterator[dict[str, Any]]:
        if data:
            yield self._chunk({"audio": {"id": self._audio_id, "data": base64_of(data)}})

    def _chunk(self, delta: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return self._head | {"choices": [choice]} | more


async def chat_lines(events: AsyncIterator[Event | Waiting], chunks: Chunks) -> AsyncIterator[str]:
    """A chat as server-sent events; a comment says how many go first while it waits."""
    yield line(chunks.first())
    try:
        async for event in events:
            if isinstance(event, Waiting):
                yield f": waiting, {event.place} first\n\n"
            for chunk in chunks.of(event):
                yield line(chunk)
    except AROmniError as error:
        yield line(error_body(error))
    finally:
        chunks.close()
    yield "data: [DONE]\n\n"


async def transcript_lines(events: AsyncIterator[Event | Waiting]) -> AsyncIterator[str]:
    """A transcription as server-sent events."""
    parts = []
    try:
        async for event in events:
            if isinstance(event, TranscriptDelta | TextDelta):
                parts.append(event.text)
                yield line({"type": "transcript.text.delta", "delta": event.text})
        yield line({"type": "transcript.text.done", "text": "".join(parts)})
    except AROmniError as error:
        yield line(error_body(error))
    yield "data: [DONE]\n\n"


async def sound(events: AsyncIterator[Event | Waiting], form: Format) -> AsyncIterator[bytes]:
    """Speech as the bytes of a file."""
    encoder = None
    try:
        async for event in events:
            if isinstance(event, SpeechChunk):
                encoder = encoder or Encoder(form, event.sample_rate)
                yield encoder.push(event.pcm)
        if encoder:
            yield encoder.finish()
    finally:
        if encoder:
            encoder.close()


def line(value: Any) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"
