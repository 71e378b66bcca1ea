"""On which device, in which dtype and with which attention a checkpoint runs."""

from __future__ import annotations

from importlib.util import find_spec
from os import PathLike

import torch

from ar_omni.errors import DependencyError, InputError
from ar_omni.tensor_files import Weights

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ATTENTIONS = ("sdpa", "flash")
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
