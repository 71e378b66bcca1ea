"""On which device, in which dtype and with which attention a checkpoint runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from os import PathLike

import torch

from ar_omni.errors import DependencyError, InputError
from ar_omni.tensor_files import LAYER_NAME, Weights

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ATTENTIONS = ("sdpa", "flash")
RESERVE = 0.8
"""Share of a GPU's free memory that weights may fill; the rest is for caches and activations."""
SMALL_BYTES = 2 * 10**9
"""Weights below this much (in float32) are worth computing in float32 on a CPU, which is faster there."""


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """`device` itself; "auto" is CUDA, else Apple's GPU, else the CPU.

    Raises:
        InputError: a device that this machine does not have.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return torch.device(next(name for name, there in available.items() if there))
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"expected a device such as auto, cpu or cuda, got {device!r}") from error
    if not available.get(chosen.type, True):
        raise InputError(f"expected a device of this machine, got {chosen}; use 'auto' or 'cpu'")
    return chosen


def choose_dtype(dtype: str | torch.dtype, device: torch.device, folder: str | PathLike) -> torch.dtype:
    """The dtype to compute in.

    "auto" is bfloat16 on accelerators. On a CPU it is float32 for small models, and else that of the file.

    Raises:
        InputError: float16, in which this model's activations overflow, or another dtype that cannot be used.
    """
    if dtype == "auto":
        if device.type != "cpu":
            return torch.bfloat16
        weights = Weights(folder)
        count = sum(torch.Size(weights.shape(name)).numel() for name in weights)
        stored = {weights.file_dtype(name) for name in weights}
        return torch.float32 if 4 * count < SMALL_BYTES or torch.bfloat16 not in stored else torch.bfloat16
    dtype = DTYPES.get(dtype, dtype) if isinstance(dtype, str) else dtype
    if dtype not in DTYPES.values():
        raise InputError(
            f"expected dtype auto, {' or '.join(DTYPES)}, got {str(dtype).removeprefix('torch.')}"
            "; activations overflow in float16"
        )
    return dtype


def choose_attention(attention: str | None, device: torch.device, dtype: torch.dtype) -> str:
    """What attends, "sdpa" or "flash": flash-attn where it is installed, on CUDA and in bfloat16.

    Raises:
        InputError: flash-attn was asked for where it cannot work, or a name that is not known.
        DependencyError: it was asked for and is not installed.
    """
    fits = device.type == "cuda" and dtype == torch.bfloat16
    installed = find_spec("flash_attn") is not None
    if attention is None:
        return "flash" if fits and installed else "sdpa"
    if attention not in ATTENTIONS:
        raise InputError(f"expected attention to be {' or '.join(ATTENTIONS)}, got {attention!r}")
    if attention == "flash" and not fits:
        place = f"{str(dtype).removeprefix('torch.')} on {device}"
        raise InputError(f"expected bfloat16 on cuda for flash-attn, got {place}; use attention='sdpa'")
    if attention == "flash" and not installed:
        raise DependencyError(
            "expected flash-attn to be installed, got none; pip install 'ar-omni[flash]' or attention='sdpa'"
        )
    return attention


def place_layers(
    device_map: str | Mapping[str, int] | None, layers: int, layer_bytes: int, free: Mapping[str, int]
) -> list[torch.device]:
    """Where each layer goes; an empty list keeps all of them on one device.

    Args:
        device_map: None, "auto" (each GPU in turn is filled, the CPU takes the rest), or layers by device.
        layers: number of layers.
        layer_bytes: weights of one layer.
        free: bytes free on each GPU.

    Raises:
        InputError: a map that does not place every layer once.
    """
    if device_map is None:
        return []
    if device_map == "auto":
        counts = {name: int(RESERVE * size / layer_bytes) for name, size in free.items()} | {"cpu": layers}
    elif isinstance(device_map, Mapping) and sum(device_map.values()) == layers:
        counts = dict(device_map)
    else:
        raise InputError(
            f"expected device_map to be 'auto' or to place {layers} layers by device, got {device_map!r}"
        )
    places = [torch.device(name) for name, count in counts.items() for _ in range(count)]
    return places[:layers]


def free_memory() -> dict[str, int]:
    """Bytes free on each GPU of this machine."""
    return {f"cuda:{i}": torch.cuda.mem_get_info(i)[0] for i in range(torch.cuda.device_count())}


def layers_of(
    device_map: str | Mapping[str, int] | None, weights: Weights, dtype: torch.dtype
) -> Sequence[torch.device]:
    """`place_layers` for the layers of an opened checkpoint, in this dtype."""
    sizes = {name: torch.Size(weights.shape(name)).numel() for name in weights if LAYER_NAME.match(name)}
    count = 1 + max((int(LAYER_NAME.match(name)[1]) for name in sizes), default=0)
    return place_layers(device_map, count, sum(sizes.values()) // count * dtype.itemsize, free_memory())
