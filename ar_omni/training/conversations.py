"""The data format for people: jsonl, one conversation a line, media as paths beside the file.

{"task": "speak", "messages": [{"role": "user", "content": "Good morning"},
                               {"role": "assistant", "content": [{"type": "audio", "audio": "clips/1.wav"}]}]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ar_omni.errors import InputError
from ar_omni.messages import Message, check_messages
from ar_omni.processing import Example, Processor

PATHS = ("image", "audio")
"""Part types whose medium is a path, relative to the folder of the jsonl file."""


def encode_line(line: str | bytes, folder: Path, processor: Processor) -> Example:
    """One line of jsonl -> ids and roles.

    Args:
        line: an object with `messages`, in Hugging Face format and ending with the assistant's, and `task`,
            a task of the checkpoint's template ("chat" if absent); other keys are ignored.
        folder: where relative paths begin.
        processor: of the checkpoint to be trained.

    Raises:
        InputError: what is wrong with the line, its messages or a medium.
    """
    try:
        record = json.loads(line)
    except ValueError as error:
        raise InputError(f"expected a json object, got {error}") from error
    if not isinstance(record, Mapping) or "messages" not in record:
        got = ", ".join(record) if isinstance(record, Mapping) else type(record).__name__
        raise InputError(f'expected an object with "messages" and "task", got {got}')
    messages = [_with_paths(message, folder) for message in check_messages(record["messages"])]
    if messages[-1]["role"] != "assistant":
        raise InputError("expected the last message to be the assistant's: it is what is learned")
    return processor.encode_example(messages, record.get("task", "chat"))


def _with_paths(message: Message, folder: Path) -> Message:
    return {**message, "content": [_with_path(part, folder) for part in message["content"]]}


def _with_path(part: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    kind = part["type"]
    if kind in PATHS and isinstance(part.get(kind), str):
        return {**part, kind: folder / part[kind]}
    return part
