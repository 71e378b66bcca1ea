"""A conversation as one file: a zip of its media, and a json that says what they are."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from io import BytesIO
from typing import Any

from ar_omni.app.models import Choice
from ar_omni.app.turns import Turn
from ar_omni.serving.replies import picture_bytes
from ar_omni.serving.sound import FORMATS, encode


def archive(turns: Iterable[Turn], choice: Choice) -> bytes:
    """`conversation.json` has messages as `AROmni.stream` takes them; its media are files beside it."""
    whole = BytesIO()
    messages: list[dict[str, Any]] = []
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as file:
        for number, turn in enumerate(list(turns), 1):
            for role, parts in (("user", turn.parts), ("assistant", _reply_parts(turn))):
                content = []
                for index, part in enumerate(parts):
                    name, data = _file(part, f"{number:02d}-{role}-{index}")
                    if name:
                        file.writestr(name, data)
                    content.append({"type": part["type"], **({part["type"]: name} if name else part)})
                messages.append(
                    {"role": role, "content": content, **(_figures(turn) if role != "user" else {})}
                )
        described = {"model": asdict(choice), "messages": messages}
        file.writestr("conversation.json", json.dumps(described, ensure_ascii=False, indent=2) + "\n")
    return whole.getvalue()


def _reply_parts(turn: Turn) -> Iterator[dict[str, Any]]:
    if turn.transcript:
        yield {"type": "transcript", "text": turn.transcript}
    if turn.text:
        yield {"type": "text", "text": turn.text}
    if turn.picture:
        yield {"type": "image", "image": turn.picture}
    if len(turn.speech):
        yield {"type": "audio", "audio": turn.speech.audio}


def _file(part: dict[str, Any], stem: str) -> tuple[str, bytes]:
    """Name and bytes of a medium; none of text."""
    match part["type"]:
        case "image":
            return f"{stem}.png", picture_bytes(part["image"])
        case "audio":
            return f"{stem}.wav", encode(part["audio"], FORMATS["wav"])
    return "", b""


def _figures(turn: Turn) -> dict[str, Any]:
    return {"stats": asdict(turn.stats) if turn.stats else None, "note": turn.note or None}
