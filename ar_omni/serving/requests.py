"""The bodies that OpenAI's clients send -> what `AROmni` takes.

Fields that change nothing here are ignored; those that would be promised and not kept are refused.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ar_omni.errors import InputError
from ar_omni.media import Audio, load_audio, load_image
from ar_omni.planning import Request
from ar_omni.processing import Message, Part

OUTPUT_OF = {"text": "text", "audio": "speech", "image": "image"}
"""OpenAI's names of the modalities -> ours."""
REFUSED = ("tools", "functions", "stop", "logprobs", "logit_bias", "prediction", "web_search_options")
MAX_PICTURES = 8


class Body(BaseModel):
    """What all requests may hold; `options` are overrides of the preset, by our names."""

    model_config = ConfigDict(extra="allow")

    model: str = ""
    seed: int | None = None
    temperature: float | None = Field(None, ge=0)
    top_p: float | None = Field(None, gt=0, le=1)
    options: dict[str, Any] = {}

    def request(self, outputs: list[str] | None, task: str, max_new_tokens: int | None = None) -> Request:
        """These fields as the arguments of `AROmni.stream`.

        Raises:
            InputError: a field that would be promised and not kept.
        """
        for name in REFUSED:
            if (self.model_extra or {}).get(name):
                raise InputError(f"expected no {name!r}, which this server does not support")
        shaping = {"temperature": self.temperature or None, "top_p": self.top_p}
        if self.temperature == 0:
            shaping["strategy"] = "greedy"
        overrides = {name: value for name, value in shaping.items() if value is not None} | self.options
        try:
            return Request.of(
                outputs=outputs, task=task, max_new_tokens=max_new_tokens, seed=self.seed, **overrides
            )
        except TypeError as error:
            raise InputError(f"expected options of the preset, got {error}") from error


class AudioChoice(BaseModel):
    """How the speech of a chat comes."""

    format: str = "wav"
    voice: Any = None


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatBody(Body):
    """`/v1/chat/completions`."""

    messages: list[dict[str, Any]] = Field(min_length=1, max_length=256)
    modalities: list[str] | None = None
    audio: AudioChoice | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)

    def chat(self) -> Request:
        """The request of the reply."""
        unknown = [name for name in self.modalities or () if name not in OUTPUT_OF]
        if unknown:
            raise InputError(f"expected modalities of {', '.join(OUTPUT_OF)}, got {unknown[0]!r}")
        outputs = [OUTPUT_OF[name] for name in self.modalities or ["text"]]
        return self.request(outputs, "chat", self.max_completion_tokens or self.max_tokens)


class SpeechBody(Body):
    """`/v1/audio/speech`; there is one voice, whatever `voice` says."""

    input: str
    response_format: str = "mp3"
    speed: Literal[1] | None = None
    stream_format: Literal["audio"] = "audio"


class ImageBody(Body):
    """`/v1/images/generations`; `style` is one that the model knows."""

    prompt: str
    n: int | None = Field(1, ge=1, le=MAX_PICTURES)
    size: str | None = "auto"
    style: str | None = None
    response_format: Literal["url", "b64_json"] | None = "b64_json"
    output_format: Literal["png", "jpeg", "webp"] | None = "png"


def to_messages(messages: list[dict[str, Any]]) -> list[Message]:
    """OpenAI's messages as ours; media are read and checked.

    Raises:
        InputError: a role, part or medium that cannot be used.
    """
    return [_message(message) for message in messages]


def to_parts(content: Any) -> list[Part]:
    """The content of one message: a str, or parts of the types in `_READERS`."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list) or not content:
        raise InputError(f"expected the content of a message as text or parts, got {content!r:.50}")
    return [_part(part) for part in content]


def _message(message: Mapping[str, Any]) -> Message:
    role = message.get("role")
    if role not in ("user", "assistant"):
        raise InputError(
            f"expected messages of the user and the assistant, got one of {role!r}, "
            "which this model was not trained to read"
        )
    return {"role": role, "content": to_parts(message.get("content"))}


def _part(part: Any) -> Part:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind not in _READERS:
        raise InputError(f"expected a part of type {', '.join(_READERS)}, got {kind!r}")
    if not isinstance(part.get(kind), str | Mapping):
        raise InputError(f"expected a part of type {kind!r} to hold {kind!r}")
    return _READERS[kind](part[kind])


def _text(text: Any) -> Part:
    return {"type": "text", "text": text}


def _image(value: Any) -> Part:
    url = value.get("url") if isinstance(value, Mapping) else value
    head, comma, data = str(url).partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64") or not comma:
        raise InputError(
            f"expected a picture as data:image/png;base64,..., got {str(url)[:40]!r}; "
            "this server fetches nothing from elsewhere"
        )
    return {"type": "image", "image": load_image(BytesIO(_decoded(data)))}


def _audio(value: Any) -> Part:
    data = value.get("data") if isinstance(value, Mapping) else None
    if not isinstance(data, str):
        raise InputError('expected "input_audio" to hold "data" in base64')
    return {"type": "audio", "audio": load_audio(Audio.load(BytesIO(_decoded(data))))}


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"expected base64, got {error}") from error


_READERS: dict[str, Callable[[Any], Part]] = {"text": _text, "image_url": _image, "input_audio": _audio}
