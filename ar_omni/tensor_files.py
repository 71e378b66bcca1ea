"""Files of tensors: PyTorch ones read safely, and all of them without holding much in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from os import PathLike
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from ar_omni.errors import CheckpointError

WEIGHTS_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
LAYER_NAME = re.compile(r"model\.layers\.(\d+)\.")
MAX_TOUCHED_BYTES = 1 << 25
"""After reading this much through a memory map, the map is opened anew: its pages then leave memory."""


def load_pickle(path: Path, trust_pickle: bool = False) -> Any:
    """The object in a PyTorch file; its tensors are memory-mapped where the file's layout allows it.

    Args:
        path: a `.pth`, `.ckpt`, `.pt` or `.bin` file.
        trust_pickle: let the file run code while it is read, as objects other than tensors need.

    Raises:
        CheckpointError: damaged, or it holds objects and `trust_pickle` is not set.
    """
    options = {"map_location": "cpu", "weights_only": not trust_pickle}
    try:
        return torch.load(path, mmap=is_zip(path), **options)
    except (OSError, EOFError, RuntimeError, ValueError, UnpicklingError) as error:
        if isinstance(error, UnpicklingError) and "unsupported" in str(error).lower():
            raise CheckpointError(
                f"expected a PyTorch file of plain tensors, got other objects in {path}, whose reading runs "
                "code of the file's author; if you trust its source, pass --trust-pickle (trust_pickle=True)"
            ) from error
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"expected a PyTorch file, got {path}, which cannot be read: {reason}"
        ) from error


def is_zip(path: Path) -> bool:
    """Whether a PyTorch file is in the format that can be memory-mapped (torch 1.6 and later)."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def load_state(path: Path, trust_pickle: bool = False) -> dict[str, Tensor]:
    """The tensors of a PyTorch file: itself, or what it holds under "state_dict"."""
    values = load_pickle(path, trust_pickle)
    if isinstance(values, Mapping) and isinstance(values.get("state_dict"), Mapping):
        values = values["state_dict"]
    if not isinstance(values, Mapping):
        raise CheckpointError(f"expected a dictionary of tensors in {path}, got {type(values).__name__}")
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}


class TensorFile:
    """Tensors of one file (safetensors or PyTorch), read one at a time through a memory map."""

    def __init__(self, path: Path, trust_pickle: bool = False):
        self.path = path
        self._open: Callable[[], Mapping[str, Any]] = (
            (lambda: _SafeFile(path))
            if path.suffix == ".safetensors"
            else (lambda: load_state(path, trust_pickle))
        )
        self._tensors = self._open()
        self._touched = 0

    def __iter__(self):
        return iter(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, without reading it."""
        return self._describe(name)[0]

    def dtype(self, name: str) -> torch.dtype:
        """The dtype of a tensor, without reading it."""
        return self._describe(name)[1]

    def read(self, name: str) -> Tensor:
        """A tensor, of the map where there is one."""
        if self._touched > MAX_TOUCHED_BYTES:
            self._tensors, self._touched = None, 0
            self._tensors = self._open()
        tensor = self._tensors[name]
        self._touched += tensor.nbytes
        return tensor

    def _describe(self, name: str) -> tuple[tuple[int, ...], torch.dtype]:
        tensor = self._tensors[name]
        return tuple(tensor.shape), tensor.dtype


class _SafeFile(Mapping):
    """A safetensors file as a mapping."""

    def __init__(self, path: Path):
        try:
            self._file = safe_open(path, framework="pt")
            self._names = list(self._file.keys())
        except Exception as error:
            raise CheckpointError(f"expected a safetensors file, got {path}: {error}") from error

    def __getitem__(self, name: str) -> Tensor:
        return self._file.get_tensor(name)

    def __iter__(self):
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Weights(MutableMapping[str, Tensor]):
    """The tensors of a checkpoint folder as a mapping; each is read, moved and converted when it is taken.

    Args:
        folder: holds `model.safetensors`, or its shards and their index.
        device: where tensors go.
        dtype: what floating-point tensors become; None keeps the file's.
        layers: where each decoder layer goes, in place of `device`; what comes before goes with the first,
            what comes after with the last.

    Raises:
        CheckpointError: a file is missing or damaged.
    """

    def __init__(
        self,
        folder: str | PathLike,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
        layers: Sequence[torch.device] = (),
    ):
        self.device, self.dtype, self._layers = torch.device(device), dtype, layers
        files = [TensorFile(path) for path in weight_files(Path(folder))]
        self._files = {name: file for file in files for name in file}

    def __getitem__(self, name: str) -> Tensor:
        return self._files[name].read(name).to(self._place(name), self.dtype)

    def _place(self, name: str) -> torch.device:
        if not self._layers:
            return self.device
        if match := LAYER_NAME.match(name):
            return self._layers[int(match[1])]
        return self._layers[0 if name.startswith("model.embed_tokens.") else -1]

    def __delitem__(self, name: str) -> None:
        del self._files[name]

    def __setitem__(self, name: str, value: Tensor) -> None:
        raise TypeError("the weights of a checkpoint folder are only taken out of it")

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, without reading it."""
        return self._files[name].shape(name)

    def file_dtype(self, name: str) -> torch.dtype:
        """The dtype of a tensor in its file."""
        return self._files[name].dtype(name)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint, whole or in shards."""
    if (folder / WEIGHTS_NAME).is_file():
        return [folder / WEIGHTS_NAME]
    try:
        places = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))["weight_map"]
        return [folder / name for name in sorted(set(places.values()))]
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"expected {WEIGHTS_NAME} or its shards in {folder}, got {error}; is it a checkpoint folder?"
        ) from error
