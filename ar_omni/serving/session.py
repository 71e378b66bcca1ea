"""A conversation over a WebSocket: both sides stream, and whoever speaks interrupts the reply.

The client sends json, and recordings also as binary messages of 16-bit little-endian mono samples:

{"type": "message", "content": text or parts as in chat completions, "outputs": [...], "seed": n, ...}
{"type": "audio", "sample_rate": 16000}   the rate of the binary messages that follow; they interrupt
{"type": "commit", "outputs": [...], ...} the recording so far is a message
{"type": "interrupt"}                     stop the reply; what came of it stays in the conversation
{"type": "reset"}                         forget the conversation

The server sends json: "waiting", "segment.start", "text", "transcript", "image.progress", "image", "speech"
(16-bit samples in base64), "segment.end", "end" (with the stats), "interrupted", "error".
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Any

import numpy as np
from fastapi import WebSocket, WebSocketDisconnect

from ar_omni.errors import AROmniError, InputError
from ar_omni.events import (
    Event,
    ImageProgress,
    ImageReady,
    SegmentEnd,
    SegmentStart,
    SpeechChunk,
    TextDelta,
    TranscriptDelta,
    TurnEnd,
)
from ar_omni.media import MAX_AUDIO_SECONDS, Audio
from ar_omni.processing import Part
from ar_omni.serving.engine import Waiting
from ar_omni.serving.errors import error_body
from ar_omni.serving.replies import base64_of, data_url
from ar_omni.serving.requests import to_parts
from ar_omni.serving.service import Service

REPLY_KEYS = ("outputs", "seed", "max_new_tokens", "previews", "options")


class Session:
    """One client's conversation.

    Args:
        websocket: not accepted yet.
        service: the model.
    """

    def __init__(self, websocket: WebSocket, service: Service):
        self._socket, self._service = websocket, service
        self._chat = service.chat()
        self._reply: asyncio.Task | None = None
        self._recording = bytearray()
        self._rate = 16_000

    async def serve(self) -> None:
        """Until the client goes away."""
        await self._socket.accept()
        try:
            while True:
                received = await self._socket.receive()
                if received["type"] == "websocket.disconnect":
                    return
                try:
                    await self._handle(received)
                except AROmniError as error:
                    await self._send({"type": "error", **error_body(error)})
        except WebSocketDisconnect:
            return
        finally:
            await self._interrupt()

    async def _handle(self, received: dict[str, Any]) -> None:
        if received.get("bytes") is not None:
            await self._interrupt()
            if len(self._recording) + len(received["bytes"]) > 2 * self._rate * MAX_AUDIO_SECONDS:
                self._recording.clear()
                raise InputError(f"expected a recording of at most {MAX_AUDIO_SECONDS:g} seconds")
            self._recording += received["bytes"]
            return
        try:
            message = json.loads(received["text"])
            handler = _HANDLERS[message["type"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f'expected json with a "type" of {", ".join(_HANDLERS)}') from None
        await handler(self, message)

    async def _message(self, message: dict[str, Any]) -> None:
        await self._start(lambda: to_parts(message.get("content")), message)

    async def _audio(self, message: dict[str, Any]) -> None:
        rate = message.get("sample_rate")
        if not isinstance(rate, int) or not 8_000 <= rate <= 48_000:
            raise InputError(f"expected a sample_rate of 8000 to 48000, got {rate!r}")
        self._recording.clear()
        self._rate = rate

    async def _commit(self, message: dict[str, Any]) -> None:
        pcm = np.frombuffer(bytes(self._recording[: len(self._recording) // 2 * 2]), "<i2")
        self._recording.clear()
        audio = Audio(pcm.astype(np.float32) / 2**15, self._rate)
        await self._start(lambda: [{"type": "audio", "audio": audio}], message)

    async def _stop(self, message: dict[str, Any]) -> None:
        await self._interrupt()

    async def _reset(self, message: dict[str, Any]) -> None:
        await self._interrupt()
        self._chat.reset()

    async def _start(self, parts: Any, message: dict[str, Any]) -> None:
        """Begin a reply; one that runs is interrupted."""
        await self._interrupt()
        asked = {key: message[key] for key in REPLY_KEYS if key in message}
        options = asked.pop("options", {})
        if not isinstance(options, dict):
            raise InputError(f"expected options as an object, got {options!r}")

        def prepare() -> Any:
            content: list[Part] = parts()
            try:
                return self._chat.stream(content, **asked, **options)
            except TypeError as error:
                raise InputError(f"expected options of the preset, got {error}") from error

        stream = await self._service.plan(prepare)
        self._reply = asyncio.create_task(self._tell(stream))

    async def _tell(self, stream: Any) -> None:
        try:
            async for event in self._service.stepped(stream):
                await self._send(as_json(event))
        except AROmniError as error:
            await self._send({"type": "error", **error_body(error)})
        except WebSocketDisconnect:
            return

    async def _interrupt(self) -> None:
        """Stop the reply, if one runs; when this returns the conversation is in order."""
        reply, self._reply = self._reply, None
        if reply is None or reply.done():
            return
        reply.cancel()
        await asyncio.wait([reply])
        await self._send({"type": "interrupted"})

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            await self._socket.send_text(json.dumps(message, ensure_ascii=False))
        except (WebSocketDisconnect, RuntimeError):  # the client has gone; `serve` learns it, too
            return


def as_json(event: Event | Waiting) -> dict[str, Any]:
    """An event as the client reads it."""
    match event:
        case Waiting(place=place):
            return {"type": "waiting", "place": place}
        case SegmentStart(modality=modality):
            return {"type": "segment.start", "modality": modality}
        case SegmentEnd(modality=modality):
            return {"type": "segment.end", "modality": modality}
        case TextDelta(text=text):
            return {"type": "text", "text": text}
        case TranscriptDelta(text=text):
            return {"type": "transcript", "text": text}
        case ImageProgress(done=done, total=total, preview=preview):
            shown = {"image": data_url(preview)} if preview else {}
            return {"type": "image.progress", "done": done, "total": total} | shown
        case ImageReady(image=image):
            return {"type": "image", "image": data_url(image)}
        case SpeechChunk(pcm=pcm, sample_rate=rate):
            samples = (np.clip(pcm, -1, 1) * (2**15 - 1)).astype("<i2").tobytes()
            return {"type": "speech", "audio": base64_of(samples), "sample_rate": rate}
        case TurnEnd(stats=stats):
            return {"type": "end", "stats": asdict(stats)}


_HANDLERS = {
    "message": Session._message,
    "audio": Session._audio,
    "commit": Session._commit,
    "interrupt": Session._stop,
    "reset": Session._reset,
}
