"""`ar-omni doctor`: what is installed here, and the memory a model needs, before anything loads."""

from __future__ import annotations

import json
import os
import platform
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ar_omni import __version__
from ar_omni.errors import CheckpointError, InputError

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "sentencepiece",
    "numpy",
    "pillow",
    "soundfile",
    "soxr",
    "accelerate",
    "peft",
    "gradio",
    "flash-attn",
)
BYTES_PER_VALUE = {"float32": 4.0, "bfloat16": 2.0}
PREFILL_ROWS = 1024
"""Ids that the estimate of activations assumes are read at once: a picture."""
PICTURE_LAYERS = 4
"""Activations at full resolution that a VQGAN's decoder holds at once."""
LAYER_MAPS = ("_proj.weight",)
"""Ends of the names of the weights that a quantization scheme applies to."""


@dataclass(frozen=True)
class Memory:
    """Bytes that a model needs to run one conversation in one dtype."""

    weights: int
    cache: int
    codecs: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.codecs + self.activations


def environment() -> dict[str, Any]:
    """Versions, devices, threads and memory of this machine."""
    import torch

    devices = [f"cpu ({os.cpu_count()} cores, {torch.get_num_threads()} threads)"]
    for index in range(torch.cuda.device_count()):
        values = torch.cuda.get_device_properties(index)
        devices.append(f"cuda:{index} {values.name} ({values.total_memory / 2**30:.1f} GiB)")
    if torch.backends.mps.is_available():
        devices.append("mps")
    return {
        "ar_omni": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "devices": devices,
        "memory_bytes": physical_memory(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def physical_memory() -> int | None:
    """Bytes of main memory; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def memory_needed(folder: Path, context: int | None = None) -> dict[str, Memory]:
    """Memory by dtype and scheme, from the shapes in the files' headers.

    Args:
        folder: a checkpoint of ours, or a published one.
        context: ids that the KV cache holds; None is the most that the model can read.

    Raises:
        CheckpointError: no checkpoint, or a damaged one.
        InputError: a context that the model cannot read.
    """
    shapes, geometry = _model(folder)
    limit = geometry["max_position_embeddings"]
    if context is not None and not 1 <= context <= limit:
        raise InputError(f"expected a context of 1 to {limit} ids, got {context}")
    return _estimate(shapes, geometry, context or limit, *_codec_bytes(folder))


def _estimate(
    shapes: Mapping[str, tuple[int, ...]],
    geometry: Mapping[str, Any],
    context: int,
    codecs: int,
    picture: int,
) -> dict[str, Memory]:
    """The table of `memory_needed` for tensors of these shapes, and codecs of these bytes."""
    from ar_omni.quantization import BITS_PER_WEIGHT

    sizes = {name: _product(shape) for name, shape in shapes.items()}
    maps = sum(size for name, size in sizes.items() if name.endswith(LAYER_MAPS))
    others = sum(sizes.values()) - maps
    heads = geometry.get("num_key_value_heads") or geometry["num_attention_heads"]
    head_dim = geometry.get("head_dim") or geometry["hidden_size"] // geometry["num_attention_heads"]
    cached = 2 * geometry["num_hidden_layers"] * heads * head_dim * context
    at_work = PREFILL_ROWS * (4 * geometry["hidden_size"] + 3 * geometry["intermediate_size"])

    def memory(weights: float, value: float) -> Memory:
        return Memory(int(weights), int(cached * value), codecs, max(picture, int(at_work * value)))

    table = {dtype: memory((maps + others) * value, value) for dtype, value in BYTES_PER_VALUE.items()}
    half = BYTES_PER_VALUE["bfloat16"]
    for scheme, bits in BITS_PER_WEIGHT.items():
        table[scheme] = memory(maps * bits / 8 + others * half, half)
    return table


def _model(folder: Path) -> tuple[Mapping[str, tuple[int, ...]], Mapping[str, Any]]:
    """Shapes of the tensors, and the geometry, of a checkpoint in any format."""
    from ar_omni.convert import is_foreign
    from ar_omni.tensor_files import Weights

    if is_foreign(folder):
        from ar_omni.configuration import AROmniConfig
        from ar_omni.convert.sources import find_sources

        language = find_sources([folder]).open_language(trust_pickle=False)
        config = AROmniConfig(**language.geometry)
        plan = language.plan(config)
        return {name: tensor.shape for name, tensor in plan.items()}, config.to_dict()
    try:
        geometry = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"expected a checkpoint folder with a config.json, got {folder}") from error
    weights = Weights(folder)
    return {name: weights.shape(name) for name in weights}, geometry


def _codec_bytes(folder: Path) -> tuple[int, int]:
    """What the codecs' weights take in float32, and what decoding a picture takes beside them."""
    from ar_omni.convert import is_foreign
    from ar_omni.tensor_files import TensorFile

    if is_foreign(folder):
        from ar_omni.convert.sources import find_sources

        sources = find_sources([folder])
        found = [codec.path for codec in (sources.vqgan, sources.wavtokenizer) if codec]
        return sum(path.stat().st_size for path in found), 0
    total, picture = 0, 0
    for path in folder.glob("*_tokenizer/model.safetensors"):
        file = TensorFile(path)
        total += sum(4 * _product(file.shape(name)) for name in file)
        config = json.loads((path.parent / "config.json").read_text(encoding="utf-8"))
        if width := config.get("base_channels"):
            picture = PICTURE_LAYERS * 4 * width * config["image_size"] ** 2
    return total, picture


def _product(shape: tuple[int, ...]) -> int:
    result = 1
    for size in shape:
        result *= size
    return result


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def main(args: Namespace) -> dict:
    """`ar-omni doctor [--model M] [--context N]`."""
    from ar_omni.checkpoint import BUNDLED

    report = environment()
    folder = Path(args.model) if args.model else BUNDLED
    if folder.is_dir():
        table = memory_needed(folder, args.context)
        report["model"] = str(folder)
        report["memory"] = {name: asdict(row) | {"total": row.total} for name, row in table.items()}
    elif args.model:
        raise CheckpointError(f"expected a checkpoint folder, got {folder}, which does not exist")
    if not args.json:
        _print(report, args.context)
    return report


def _print(report: Mapping[str, Any], context: int | None) -> None:
    print(f"ar-omni {report['ar_omni']}, Python {report['python']}, {report['system']}")
    print("devices   " + "; ".join(report["devices"]))
    if report["memory_bytes"]:
        print(f"memory    {report['memory_bytes'] / 2**30:.1f} GiB")
    installed = [f"{name} {found}" for name, found in report["packages"].items() if found]
    missing = [name for name, found in report["packages"].items() if not found]
    print("installed " + ", ".join(installed))
    print("missing   " + (", ".join(missing) or "nothing"))
    if "memory" not in report:
        return
    print(f"\n{report['model']}, context {context or 'full'}, GiB")
    columns = ("weights", "cache", "codecs", "activations", "total")
    print(f"{'':10}" + "".join(f"{name:>13}" for name in columns) + "   fits")
    for name, row in report["memory"].items():
        cells = "".join(f"{row[column] / 2**30:13.3f}" for column in columns)
        fits = not report["memory_bytes"] or row["total"] < report["memory_bytes"]
        print(f"{name:10}{cells}   {'yes' if fits else 'no'}")
