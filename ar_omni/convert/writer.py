"""Writing safetensors one tensor at a time, and folders that appear whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from ar_omni.errors import CheckpointError

MAX_SHARD_BYTES = 5 * 10**9
DTYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
}


@dataclass(frozen=True)
class LazyTensor:
    """A tensor of known shape and dtype that is read only when it is written, in consecutive pieces."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Iterable[Tensor]]

    @property
    def nbytes(self) -> int:
        return torch.Size(self.shape).numel() * self.dtype.itemsize


def write_tensors(folder: Path, tensors: Mapping[str, LazyTensor], progress: bool = False) -> None:
    """Write `model.safetensors`, or shards of it with an index, as transformers names them."""
    shards = _split(tensors)
    total = sum(tensor.nbytes for tensor in tensors.values())
    names = [_shard_name(number, len(shards)) for number in range(1, len(shards) + 1)]
    with tqdm(total=total, unit="B", unit_scale=True, desc="weights", disable=not progress) as bar:
        for name, shard in zip(names, shards, strict=True):
            _write_file(folder / name, shard, bar.update)
    if len(shards) > 1:
        places = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
        index = {"metadata": {"total_size": total}, "weight_map": places}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def _shard_name(number: int, count: int) -> str:
    return "model.safetensors" if count == 1 else f"model-{number:05d}-of-{count:05d}.safetensors"


def _split(tensors: Mapping[str, LazyTensor]) -> list[dict[str, LazyTensor]]:
    shards: list[dict[str, LazyTensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if shards[-1] and size + tensor.nbytes > MAX_SHARD_BYTES:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += tensor.nbytes
    return shards


def _write_file(path: Path, tensors: Mapping[str, LazyTensor], advance: Callable[[int], object]) -> None:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, tensor in tensors.items():
        stop = offset + tensor.nbytes
        dtype = DTYPE_NAMES[tensor.dtype]
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [offset, stop]}
        offset = stop
    encoded = json.dumps(header, separators=(",", ":")).encode("utf-8")
    encoded += b" " * (-len(encoded) % 8)  # the data starts aligned
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for name, tensor in tensors.items():
            left = tensor.nbytes
            for piece in tensor.read():
                left -= piece.nbytes
                if piece.dtype != tensor.dtype or left < 0:
                    break
                file.write(piece.contiguous().view(torch.uint8).flatten().numpy())
                advance(piece.nbytes)
            if left:
                raise CheckpointError(f"expected {tensor.dtype} values of shape {tensor.shape} for {name}")


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target` that becomes it when the block succeeds, and goes when it fails.

    What a killed process left behind is removed by the next one.
    """
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    for stale in target.parent.glob(f".{target.name}.partial-*"):
        if not _is_running(int(stale.name.rpartition("-")[2])):
            shutil.rmtree(stale, ignore_errors=True)
    temporary = target.with_name(f".{target.name}.partial-{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if target.is_dir():
            target.rmdir()  # only ever an empty one
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
