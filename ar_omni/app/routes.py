"""What the page fetches beside Gradio: speech as it is made, media, and the whole conversation as a zip.

The addresses hold ids that nobody can guess, and that only the page of their conversation is told.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import StreamingResponse

from ar_omni.app.archive import archive
from ar_omni.app.conversation import Conversation
from ar_omni.app.rendering import MEDIA
from ar_omni.app.turns import Turn
from ar_omni.app.visitors import Visitors
from ar_omni.serving.replies import picture_bytes
from ar_omni.serving.sound import FORMATS, encode

KEPT = {"Cache-Control": "private, max-age=3600"}
"""A medium at an address never changes; when it grows, its address does, too."""


def add_routes(app: FastAPI, visitors: Visitors) -> None:
    """Put them on the app, in front of the page."""

    def found(conversation_id: str) -> Conversation:
        conversation = visitors.find(conversation_id)
        if conversation is None:
            raise HTTPException(404, "there is no such conversation any more")
        return conversation

    def turn_of(conversation_id: str, turn_id: str) -> Turn:
        turn = found(conversation_id).find(turn_id)
        if turn is None:
            raise HTTPException(404, "the conversation has no such turn any more")
        return turn

    @app.get(f"/{MEDIA}/{{conversation_id}}/conversation.zip")
    def zipped(conversation_id: str) -> Response:
        conversation = found(conversation_id)
        name = {"Content-Disposition": 'attachment; filename="conversation.zip"'}
        return Response(archive(conversation.turns, conversation.model.choice), 200, name, "application/zip")

    @app.get(f"/{MEDIA}/{{conversation_id}}/{{turn_id}}/speech.f32")
    def pcm(conversation_id: str, turn_id: str) -> StreamingResponse:
        speech = turn_of(conversation_id, turn_id).speech
        return StreamingResponse(_pieces(speech.listen()), media_type="application/octet-stream")

    @app.get(f"/{MEDIA}/{{conversation_id}}/{{turn_id}}/speech-{{length}}.wav")
    def wav(conversation_id: str, turn_id: str, length: int) -> Response:
        speech = turn_of(conversation_id, turn_id).speech
        if not len(speech):
            raise HTTPException(404, "this turn has no speech")
        return Response(encode(speech.audio, FORMATS["wav"]), 200, KEPT, "audio/wav")

    @app.get(f"/{MEDIA}/{{conversation_id}}/{{turn_id}}/picture-{{version}}.png")
    def picture(conversation_id: str, turn_id: str, version: str) -> Response:
        image = turn_of(conversation_id, turn_id).picture
        if image is None:
            raise HTTPException(404, "this turn has no picture")
        return Response(picture_bytes(image), 200, KEPT, "image/png")

    @app.get(f"/{MEDIA}/{{conversation_id}}/{{turn_id}}/asked-{{index}}.{{suffix}}")
    def asked(conversation_id: str, turn_id: str, index: int, suffix: str) -> Response:
        parts = turn_of(conversation_id, turn_id).parts
        part = parts[index] if index < len(parts) else {"type": None}
        match part["type"], suffix:
            case "image", "png":
                return Response(picture_bytes(part["image"]), 200, KEPT, "image/png")
            case "audio", "wav":
                return Response(encode(part["audio"], FORMATS["wav"]), 200, KEPT, "audio/wav")
        raise HTTPException(404, "this message has no such medium")


def _pieces(listened: Iterator[bytes]) -> Iterator[bytes]:
    return (piece for piece in listened if piece)
