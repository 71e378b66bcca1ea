"""Conversations in Hugging Face form, checked: what a message and its parts must hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ar_omni.errors import InputError
from ar_omni.media import Audio

Message = Mapping[str, Any]
Part = Mapping[str, Any]

PART_TYPES = {
    "user": ("text", "image", "audio"),
    "assistant": ("text", "transcript", "image", "audio"),
}


def check_messages(messages: Any) -> list[Message]:
    """Messages in one form: `[{"role", "content": [part, ...]}, ...]`, roles in turn, the user's first."""
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise InputError(
            f'expected a list of {{"role": ..., "content": ...}} messages, got {_name(messages)}'
        )
    checked = []
    for i, message in enumerate(messages):
        expected = ("user", "assistant")[i % 2]
        if not isinstance(message, Mapping) or message.get("role") != expected or "content" not in message:
            got = message.get("role") if isinstance(message, Mapping) else _name(message)
            raise InputError(f'expected message {i} to have "role": "{expected}" and "content", got {got!r}')
        checked.append({"role": expected, "content": check_parts(message["content"], expected)})
    return checked


def check_parts(content: Any, role: str) -> list[Part]:
    """Content in one form: `[{"type": "text" | "image" | "audio" | ..., ...}, ...]`, not empty.

    Args:
        content: a str, `Audio`, PIL picture, part, or list of these.
        role: `"user"` or `"assistant"`.
    """
    items = content if isinstance(content, Sequence) and not isinstance(content, str) else [content]
    if not items:
        raise InputError(f"expected something in the {role}'s message, got an empty list")
    return [_check_part(item, role) for item in items]


def _check_part(item: Any, role: str) -> Part:
    if isinstance(item, str):
        return {"type": "text", "text": item}
    if isinstance(item, Audio):
        return {"type": "audio", "audio": item}
    if type(item).__module__.startswith("PIL."):
        return {"type": "image", "image": item}
    kind = item.get("type") if isinstance(item, Mapping) else None
    if kind not in PART_TYPES[role]:
        got = repr(kind) if isinstance(item, Mapping) else _name(item)
        raise InputError(f'expected a part with "type": {" | ".join(PART_TYPES[role])}, got {got}')
    key = "text" if kind in ("text", "transcript") else kind
    if key not in item and ("codes" not in item or key == "text"):
        raise InputError(f'expected a part of type "{kind}" to hold "{key}", got {", ".join(map(str, item))}')
    return item


def _name(value: Any) -> str:
    return type(value).__name__
