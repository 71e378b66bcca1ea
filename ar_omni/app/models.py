"""The models that people choose from, each loaded once for everyone who uses it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ar_omni.checkpoint import BUNDLED
from ar_omni.errors import InputError
from ar_omni.omni import AROmni
from ar_omni.serving.engine import BusyError, Engine

BUNDLED_NAME = "nano"
NO_ADAPTER = "none"
DEPTH = ("*", "*/*")
"""Where checkpoints and adapters are looked for, below the folder of models."""


@dataclass(frozen=True)
class Choice:
    """A model by the names that people see: a checkpoint, and an adapter on it or none."""

    model: str = BUNDLED_NAME
    adapter: str = NO_ADAPTER


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded checkpoint, where it lies, and what decodes its replies."""

    choice: Choice
    omni: AROmni
    folder: Path
    engine: Engine

    @property
    def context(self) -> int:
        """Ids that it reads at once."""
        return self.omni.network.context


class Models:
    """What can be chosen, and what is loaded.

    Args:
        first: a checkpoint that is offered whatever lies in `folder`; None is the bundled one.
        folder: checkpoints and adapters below it are offered, and nothing else can be read.
        most: so many may be loaded at once.
        make_engine: for a loaded checkpoint.
    """

    def __init__(
        self,
        first: Path | None,
        folder: Path,
        most: int = 2,
        make_engine: Callable[[AROmni], Engine] = Engine,
    ):
        self._first, self._folder, self._most = first, folder.resolve(), most
        self._make_engine = make_engine
        self._loaded: dict[Choice, Model] = {}
        self._loading = threading.Lock()

    @property
    def default(self) -> Choice:
        """What everyone starts with."""
        return Choice(next(iter(self.checkpoints)))

    @property
    def checkpoints(self) -> dict[str, Path]:
        """Name -> folder, the default first."""
        given = {self._given_name: self._first} if self._first else {}
        return given | {BUNDLED_NAME: BUNDLED} | self._below("processor_config.json") | given

    @property
    def _given_name(self) -> str:
        """Of `first`, which must not take the place of the bundled one, nor give its own to it."""
        name = self._first.absolute().name
        return str(self._first) if name == BUNDLED_NAME else name

    @property
    def adapters(self) -> dict[str, Path]:
        """Name -> folder of the LoRA adapters there are."""
        return self._below("adapter_config.json")

    def has(self, choice: Choice) -> bool:
        """Whether it is loaded."""
        return choice in self._loaded

    def get(self, choice: Choice, in_use: Callable[[], set[Choice]] = set) -> Model:
        """The chosen model, loaded now if it was not; what nobody uses makes room for it.

        Raises:
            InputError: there is no such checkpoint or adapter.
            CheckpointError: it is damaged, or the adapter is of another model.
            BusyError: too many are in use.
        """
        with self._loading:
            if choice not in self._loaded:
                folder = _named(self.checkpoints, choice.model, "a model")
                adapter = None
                if choice.adapter != NO_ADAPTER:
                    adapter = _named(self.adapters, choice.adapter, "an adapter")
                self._make_room(in_use())
                omni = AROmni.from_pretrained(folder)
                if adapter:
                    omni.adapters.load(adapter)
                self._loaded[choice] = Model(choice, omni, folder, self._make_engine(omni))
            return self._loaded[choice]

    def close(self) -> None:
        """Stop everything that runs."""
        for model in self._loaded.values():
            model.engine.close()

    def _make_room(self, in_use: set[Choice]) -> None:
        for choice in list(self._loaded):
            if len(self._loaded) >= self._most and choice not in in_use:
                self._loaded.pop(choice).engine.close()
        if len(self._loaded) >= self._most:
            raise BusyError(f"{self._most} models are in use by others; try again when they are done")

    def _below(self, mark: str) -> dict[str, Path]:
        found = [path.parent for pattern in DEPTH for path in self._folder.glob(f"{pattern}/{mark}")]
        return {folder.relative_to(self._folder).as_posix(): folder for folder in sorted(found)}


def _named(folders: dict[str, Path], name: str, kind: str) -> Path:
    if name not in folders:
        raise InputError(f"expected {kind} of {', '.join(folders)}, got {name!r}")
    return folders[name]
