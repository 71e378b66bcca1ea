"""Messages <-> ids. The layout of a turn comes from the checkpoint's template, never from this code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ar_omni.errors import CheckpointError, InputError
from ar_omni.media import check_text, load_audio, load_image, replacing
from ar_omni.messages import Message, Part, check_messages, check_parts
from ar_omni.template import SELECTORS, TEMPLATE_NAME, Piece, Template
from ar_omni.tokenizers import load_tokenizer
from ar_omni.vocabulary import MODALITIES, Vocabulary

ROLES = ("prompt", "text", "transcript", "image", "speech")
"""What a token of a training example is: part of the prompt, or of which segment of the reply."""

_ROLE_OF = {"text": "text", "transcript": "transcript", "image": "image", "audio": "speech"}
_BRACKETS = {"text": None, "transcript": ("ins", "res"), "image": ("boi", "eoi"), "audio": ("boa", "eoa")}


@dataclass(frozen=True)
class Example:
    """A whole conversation as one row for training.

    Attributes:
        task: its task's name.
        input_ids: T ids.
        roles: T indices into `ROLES`; the id that ends a reply has the role of the segment before it.
    """

    task: str
    input_ids: list[int]
    roles: list[int]

    def loss_weights(self, table: Mapping[str, Mapping[str, float]]) -> list[float]:
        """T weights, one for each id as a target.

        Args:
            table: task -> role -> weight, the recipe's; what is not in it weighs 1.
        """
        row = table.get(self.task, {})
        by_role = [float(row.get(role, 1.0)) for role in ROLES]
        return [by_role[role] for role in self.roles]


class Processor:
    """Turns conversations into ids of the unified vocabulary.

    Args:
        vocabulary: the checkpoint's id layout.
        text_tokenizer: a tokenizer, or the folder of one, which is then loaded at its first use.
        image_tokenizer: likewise.
        speech_tokenizer: likewise.
        template: the checkpoint's layout of a turn.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        text_tokenizer: Any,
        image_tokenizer: Any,
        speech_tokenizer: Any,
        template: Template,
    ):
        self.vocabulary = vocabulary
        self.template = template
        self._tokenizers = {"text": text_tokenizer, "image": image_tokenizer, "speech": speech_tokenizer}

    @classmethod
    def from_pretrained(cls, folder: str | PathLike) -> Processor:
        """Read a checkpoint folder; its tokenizers load at their first use."""
        folder = Path(folder)
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            vocabulary = Vocabulary.from_dict(config["vocabulary"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"expected a vocabulary in {folder / 'config.json'}, got {error}"
            ) from error
        tokenizers = [folder / f"{name}_tokenizer" for name in MODALITIES]
        return cls(vocabulary, *tokenizers, Template.load(folder))

    def save_pretrained(self, folder: str | PathLike) -> None:
        """Write the template and the tokenizers; the vocabulary is part of the model's config."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / TEMPLATE_NAME) as temporary:
            temporary.write_text(json.dumps(self.template.to_dict(), indent=2) + "\n", encoding="utf-8")
        for name in MODALITIES:
            self._tokenizer(name).save(folder / f"{name}_tokenizer")

    @property
    def text_tokenizer(self) -> Any:
        return self._tokenizer("text")

    @property
    def image_tokenizer(self) -> Any:
        return self._tokenizer("image")

    @property
    def speech_tokenizer(self) -> Any:
        return self._tokenizer("speech")

    def _tokenizer(self, name: str) -> Any:
        source = self._tokenizers[name]
        if isinstance(source, str | PathLike):
            source = self._tokenizers[name] = load_tokenizer(source)
            span = getattr(self.vocabulary, name)
            if source.codebook_size > len(span):
                raise CheckpointError(
                    f"expected a {name} tokenizer of at most {len(span)} codes, got {source.codebook_size}; "
                    "it belongs to another checkpoint"
                )
        return source

    def encode_messages(self, messages: Sequence[Message], task: str = "chat") -> list[int]:
        """The ids of a prompt, up to where the assistant begins.

        Args:
            messages: Hugging Face messages, the user's and the assistant's in turn, the last one the user's.
            task: a task of the template.

        Raises:
            InputError: a message, part or medium that cannot be used; the text says which and why.
        """
        messages = check_messages(messages)
        if messages[-1]["role"] != "user":
            raise InputError("expected the last message to be the user's, got the assistant's")
        return [i for ids, _ in self._rows(messages, task) for i in ids]

    def encode_turn(self, content: Any, task: str = "chat", first: bool = True) -> list[int]:
        """The ids of one message of the user, up to where the assistant begins.

        Args:
            content: a str, `Audio`, picture, part, or list of these.
            task: a task of the template.
            first: whether the sequence begins here.
        """
        layout = self._task(task)
        pieces = (layout.pieces("start") if first else []) + layout.pieces("turn")
        return self._fill(pieces, check_parts(content, "user"))

    def encode_unconditional(self, messages: Sequence[Message]) -> list[list[int]]:
        """What the other branches of guidance read before an image's `boi`.

        Returns:
            one row without the user's input; before it, if the prompt holds pictures, one that keeps them.
        """
        pieces = [Piece.parse(spelling) for spelling in self.template.unconditional]
        parts = [part for m in check_messages(messages) if m["role"] == "user" for part in m["content"]]
        images = [part for part in parts if part["type"] == "image"]
        return [self._fill(pieces, kept) for kept in ([images, []] if images else [[]])]

    def encode_example(
        self, messages: Sequence[Message], task: str = "chat", unconditional: bool = False
    ) -> Example:
        """A whole conversation for training; parts may hold `"codes"` instead of media.

        Args:
            messages: the conversation.
            task: a task of the template.
            unconditional: leave out what the user said, as the unconditional branch of guidance does: a share
                of the pictures learned this way is what makes guidance work.
        """
        ids, roles = [], []
        messages = check_messages(messages)
        rows = self._rows(messages, task)
        if unconditional:
            replies = [message for message in messages if message["role"] == "assistant"]
            rows = chain([(self.encode_unconditional(messages)[-1], "prompt")], self._replies(replies, task))
        for piece, role in rows:
            ids += piece
            roles += [ROLES.index(role)] * len(piece)
        return Example(task, ids, roles)

    def encode_part(self, part: Part, shown: bool = False) -> list[int]:
        """The ids of one part: text as it is, other kinds between their control ids.

        Args:
            part: of a message.
            shown: whether it is the user's: a picture that is only looked at may have other codes.
        """
        span, codes = self._codes(part, shown)
        ids = [i + span.start for i in codes]
        brackets = _BRACKETS[part["type"]]
        if brackets is None:
            return ids
        opener, closer = (self.vocabulary.specials[name] for name in brackets)
        return [opener, *ids, closer]

    def _task(self, task: str):
        if task not in self.template.tasks:
            raise InputError(f"expected a task of {', '.join(self.template.tasks)}, got {task!r}")
        return self.template.tasks[task]

    def _rows(self, messages: Sequence[Message], task: str) -> Iterator[tuple[list[int], str]]:
        """The conversation in order: (ids, role)."""
        layout = self._task(task)
        if len(messages) > 2 and layout.end_name == "eos":
            raise InputError(f"expected one message for the task {task!r}, got {len(messages)}; use 'chat'")
        yield self._fill(layout.pieces("start"), []), "prompt"
        for message in messages:
            if message["role"] == "user":
                yield self._fill(layout.pieces("turn"), message["content"]), "prompt"
            else:
                yield from self._replies([message], task)

    def _replies(self, messages: Sequence[Message], task: str) -> Iterator[tuple[list[int], str]]:
        """The assistant's messages: (ids, role)."""
        end = self.vocabulary.specials[self._task(task).end_name]
        for message in messages:
            for part in message["content"]:
                yield self.encode_part(part), _ROLE_OF[part["type"]]
            yield [end], _ROLE_OF[message["content"][-1]["type"]]

    def _fill(self, pieces: Sequence[Piece], parts: Sequence[Part]) -> list[int]:
        slots = {SELECTORS[piece.slot] for piece in pieces if piece.slot}
        for part in parts:
            if None not in slots and part["type"] not in slots:
                raise InputError(
                    f"expected {' and '.join(slots)} for this task, got a part of type {part['type']}"
                )
        ids = []
        for piece in pieces:
            kind = SELECTORS.get(piece.slot)
            fitting = [part for part in parts if piece.slot and kind in (None, part["type"])]
            if piece.control:
                ids.append(self.vocabulary.specials[piece.control])
            elif fitting:
                ids += [i for part in fitting for i in self.encode_part(part, shown=True)]
            elif piece.text:
                ids += [self.vocabulary.text.id(code) for code in self.text_tokenizer.encode(piece.text)]
        return ids

    def _codes(self, part: Part, shown: bool):
        """The span of a part, and its codes."""
        kind = part["type"]
        name = {"transcript": "text", "audio": "speech"}.get(kind, kind)
        span = getattr(self.vocabulary, name)
        if kind in ("text", "transcript"):
            codes = self.text_tokenizer.encode(check_text(part["text"]))
        elif "codes" in part:
            codes = np.asarray(part["codes"], dtype=np.int64).reshape(-1).tolist()
        elif kind == "image":
            tokenizer = self.image_tokenizer
            encode = tokenizer.encode_shown if shown else tokenizer.encode
            codes = encode(load_image(part["image"])).tolist()
        else:
            codes = self.speech_tokenizer.encode(load_audio(part["audio"])).tolist()
        if codes and not 0 <= min(codes) <= max(codes) < len(span):
            raise InputError(f"expected {name} codes in [0, {len(span)}), got {min(codes)} .. {max(codes)}")
        size = self.template.codes_per_shown_image if shown else self.template.codes_per_image
        if kind == "image" and len(codes) != size:
            raise InputError(f"expected {size} codes a picture, got {len(codes)}")
        return span, codes
