"""How a checkpoint lays out a conversation, task by task; kept in its `processor_config.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from ar_omni.errors import CheckpointError
from ar_omni.vocabulary import SPECIALS

TEMPLATE_NAME = "processor_config.json"
SELECTORS = {"parts": None, "text": "text", "image": "image", "audio": "audio"}
"""`{parts}` stands for all parts of the user's message in order, `{text}` for the text parts, and so on."""

TRANSCRIPTS = ("never", "spoken", "only")

_CONTROL = re.compile(rf"<({'|'.join(SPECIALS)})>")
_SLOT = re.compile(rf"\{{({'|'.join(SELECTORS)})(?:\|(.*))?\}}", re.DOTALL)


@dataclass(frozen=True)
class Piece:
    """One element of a template: a control id, a slot for the user's parts, or literal text.

    Attributes:
        control: a name in `SPECIALS`.
        slot: a name in `SELECTORS`.
        text: literal text; with `slot`, what stands there when no part fits.
    """

    control: str | None = None
    slot: str | None = None
    text: str | None = None

    @classmethod
    def parse(cls, spelling: str) -> Piece:
        """`<eoh>` is a control id, `{text}` or `{text|default}` a slot, and anything else literal text."""
        if match := _CONTROL.fullmatch(spelling):
            return cls(control=match[1])
        if match := _SLOT.fullmatch(spelling):
            return cls(slot=match[1], text=match[2])
        return cls(text=spelling)


@dataclass(frozen=True)
class TaskTemplate:
    """The pieces around the messages of one task, as spelt in the checkpoint.

    Attributes:
        start: once, at the beginning of the sequence.
        turn: the user's message, up to where the assistant begins.
        end: one control id, after the assistant's message.
        transcript: whether a reply first says what it heard, between `<ins>` and `<res>`: `"never"`,
            `"spoken"` (when the user's last message holds speech) or `"only"` (and then nothing else).
    """

    start: tuple[str, ...]
    turn: tuple[str, ...]
    end: str
    transcript: str = "never"

    def pieces(self, name: str) -> list[Piece]:
        """The parsed pieces of `"start"` or `"turn"`."""
        return [Piece.parse(spelling) for spelling in getattr(self, name)]

    @property
    def end_name(self) -> str:
        """The name of the control id that ends a reply."""
        return Piece.parse(self.end).control


@dataclass(frozen=True)
class Template:
    """All that a checkpoint says about its stream.

    Attributes:
        tasks: name -> layout.
        unconditional: what the unconditional branch of guidance reads before `<boi>`; `{image}` stands for
            the pictures of the prompt in the branch that keeps them.
        codes_per_image: number of codes between `<boi>` and `<eoi>`, where a picture is drawn.
        codes_per_shown_image: likewise, where the user shows one; the same if the file does not say.
        untrained_outputs: of `text`, `image` and `speech`, those that this checkpoint cannot give.
    """

    tasks: Mapping[str, TaskTemplate]
    unconditional: tuple[str, ...]
    codes_per_image: int
    codes_per_shown_image: int
    untrained_outputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, task in self.tasks.items():
            if Piece.parse(task.end).control not in ("eom", "eos"):
                raise CheckpointError(f"expected task {name!r} to end with <eom> or <eos>, got {task.end!r}")
            if task.transcript not in TRANSCRIPTS:
                raise CheckpointError(
                    f"expected the transcript of task {name!r} as one of {', '.join(TRANSCRIPTS)}, "
                    f"got {task.transcript!r}"
                )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Template:
        """The inverse of `to_dict`."""
        try:
            tasks = {
                name: TaskTemplate(
                    tuple(task["start"]), tuple(task["turn"]), task["end"], task.get("transcript", "never")
                )
                for name, task in values["tasks"].items()
            }
            untrained = tuple(values.get("untrained_outputs", ()))
            drawn = int(values["codes_per_image"])
            shown = int(values.get("codes_per_shown_image", drawn))
            return cls(tasks, tuple(values["unconditional"]), drawn, shown, untrained)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(
                f"expected tasks (each with start, turn, end), unconditional and codes_per_image in "
                f"{TEMPLATE_NAME}, got {error!r}"
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: str | PathLike) -> Template:
        """Read `processor_config.json`, given itself or its folder."""
        path = Path(path)
        path = path / TEMPLATE_NAME if path.is_dir() else path
        try:
            return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"expected a template in {path}, got {error}") from error
