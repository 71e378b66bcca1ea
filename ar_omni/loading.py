"""From the name of a checkpoint to a network that runs: where it is, on which device, in which dtype.

Weights are opened by memory map and taken tensor by tensor: at no time are there two copies of them.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from os import PathLike
from pathlib import Path

import torch

from ar_omni.decoding.network import Network
from ar_omni.errors import CheckpointError, DependencyError, InputError
from ar_omni.manifest import check_manifest
from ar_omni.quantization import check_scheme
from ar_omni.tensor_files import Weights

BUNDLED = Path(__file__).parent / "assets" / "nano"
CONFIG_NAME = "config.json"
MODEL_TYPE = "ar_omni"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ATTENTIONS = ("sdpa", "flash")
SMALL_BYTES = 2 * 10**9
"""Weights below this much (in float32) are worth computing in float32 on a CPU, which is faster there."""


def find_checkpoint(name: str | PathLike | None = None) -> Path:
    """The folder of a checkpoint: bundled, given, published (then converted into the cache), or of a hub id.

    Raises:
        CheckpointError: no such checkpoint, or one whose files are not those of its manifest.
    """
    folder = BUNDLED if name is None else Path(name)
    if not folder.is_dir():
        folder = _download(str(name))
    config = folder / CONFIG_NAME
    kind = _config(folder).get("model_type") if config.is_file() else None
    if kind != MODEL_TYPE:
        from ar_omni.convert import converted, is_foreign

        if not is_foreign(folder):
            raise CheckpointError(
                f"expected a checkpoint folder with model_type {MODEL_TYPE!r} in its {CONFIG_NAME}, "
                f"got {folder} with {'none' if kind is None else repr(kind)}"
            )
        folder = converted(folder)
    check_manifest(folder)
    return folder


def load_network(
    folder: str | PathLike,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    quantize: str | None = None,
) -> Network:
    """The network of a checkpoint folder.

    Args:
        folder: as `find_checkpoint` gives it.
        device: as in `choose_device`.
        dtype: as in `choose_dtype`.
        quantize: None, or a scheme of `ar_omni.quantization`.

    Raises:
        CheckpointError: files that are missing or damaged.
        InputError: a device, dtype or scheme that cannot be used.
    """
    folder = Path(folder)
    check_scheme(quantize)
    chosen = choose_device(device)
    weights = Weights(folder, chosen, choose_dtype(dtype, chosen, folder))
    return Network.from_weights(weights, _config(folder), quantize)


def _config(folder: Path) -> dict:
    try:
        return json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"expected a {CONFIG_NAME} in {folder}, got {error}") from error


def _download(name: str) -> Path:
    """The folder of a hub id, from the local cache or the hub."""
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise CheckpointError(f"expected a checkpoint folder or a hub id such as owner/name, got {name!r}")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name))
    except Exception as error:  # the client raises its own, the transport's and the file system's
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"expected a folder or a hub id, got {name!r}: {reason}") from error


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
