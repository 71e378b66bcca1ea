"""Load, prefill and decode a random checkpoint of a large geometry on the CPU, and measure time and memory.

    python benchmarks/large_model.py --geometry 7b --dtype bfloat16 --threads 2 --report docs/large_models.md

The checkpoint is written tensor by tensor (13.5 GB for 7b; --work keeps it), and each measurement runs in a
process of its own, so that its peak of memory is its own.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from ar_omni.configuration import AROmniConfig
from ar_omni.convert.language import expected_shapes
from ar_omni.convert.writer import LazyTensor, write_tensors
from ar_omni.decoding import Network
from ar_omni.decoding.cache import Sequence
from ar_omni.loading import choose_dtype
from ar_omni.quantization import SCHEMES
from ar_omni.tensor_files import Weights
from ar_omni.vocabulary import Vocabulary

SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
GEOMETRIES = {"7b": (4096, 11008, 32, 32), "1b": (2048, 5504, 16, 16), "small": (1024, 2816, 8, 8)}
PIECE_ROWS = 4096
MARK = "<!-- measured -->"


def make_checkpoint(folder: Path, geometry: str) -> None:
    """Write random bfloat16 weights of a geometry, and its config."""
    sizes = dict(zip(SIZES, GEOMETRIES[geometry], strict=True))
    config = AROmniConfig(
        **sizes,
        num_key_value_heads=sizes["num_attention_heads"],
        vocabulary=Vocabulary.ar_omni_7b().to_dict(),
    )
    generator = torch.Generator().manual_seed(0)

    def lazy(name: str, shape: tuple[int, ...]) -> LazyTensor:
        def read():
            if "norm" in name:
                yield torch.full(shape, float("weight" in name), dtype=torch.bfloat16)
                return
            for start in range(0, shape[0], PIECE_ROWS):
                rows = torch.empty(min(PIECE_ROWS, shape[0] - start), *shape[1:], dtype=torch.bfloat16)
                yield rows.uniform_(-0.03, 0.03, generator=generator)

        return LazyTensor(shape, torch.bfloat16, read)

    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder, {n: lazy(n, s) for n, s in expected_shapes(config).items()}, progress=True)
    config.save_pretrained(folder)


def measure(folder: Path, dtype: str, quantize: str | None, prompt: int, new: int) -> dict[str, float]:
    """Load the checkpoint in this process, read `prompt` ids and decode `new` ones; seconds and bytes."""
    config = json.loads((folder / "config.json").read_text())
    before = peak_memory()
    started = time.perf_counter()
    weights = Weights(folder, "cpu", choose_dtype(dtype, torch.device("cpu"), folder))
    network = Network.from_weights(weights, config, quantize)
    loaded = time.perf_counter()
    after_load = peak_memory()
    sequence = Sequence([i % config["vocab_size"] for i in range(7, 7 + prompt)])
    hidden = network.forward([sequence])
    prefilled = time.perf_counter()
    span = Vocabulary.from_dict(config["vocabulary"]).text
    for _ in range(new):
        sequence.ids.append(span.start + int(network.logits(hidden, span, ()).argmax()))
        hidden = network.forward([sequence])
    return {
        "load_s": loaded - started,
        "prefill_tokens_s": prompt / (prefilled - loaded),
        "decode_tokens_s": new / (time.perf_counter() - prefilled),
        "before_bytes": before,
        "load_peak_bytes": after_load,
        "peak_bytes": peak_memory(),
    }


def peak_memory() -> int:
    """The largest resident size that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measured(folder: Path, dtype: str, quantize: str | None, prompt: int, new: int, threads: int) -> dict:
    """`measure` in a new process."""
    command = [sys.executable, __file__, "--measure", str(folder), "--dtype", dtype, "--prompt", str(prompt)]
    command += ["--new", str(new), "--threads", str(threads)] + (["--quantize", quantize] if quantize else [])
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def report(rows: list[tuple[str, dict]], args: argparse.Namespace) -> str:
    """The measurements as a Markdown table."""
    lines = [
        f"Geometry {args.geometry}, {args.threads} threads, torch {torch.__version__} "
        f"({torch.backends.cpu.get_cpu_capability()}), {args.prompt} ids prefilled, {args.new} decoded.",
        "",
        "| weights | load s | prefill ids/s | decode ids/s | peak while loading GiB | peak GiB |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in rows:
        speeds = f"{row['load_s']:.1f} | {row['prefill_tokens_s']:.1f} | {row['decode_tokens_s']:.2f}"
        memory = f"{row['load_peak_bytes'] / 2**30:.2f} | {row['peak_bytes'] / 2**30:.2f}"
        lines.append(f"| {name} | {speeds} | {memory} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--geometry", choices=GEOMETRIES, default="7b")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--quantize", nargs="*", default=[], choices=SCHEMES, help="also measure these")
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--new", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, help="keeps the checkpoint (default: a temporary folder)")
    parser.add_argument("--report", type=Path, help="a Markdown page whose measured part is replaced")
    parser.add_argument("--measure", type=Path, help="measure this folder in this process; prints json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.measure:
        scheme = args.quantize[0] if args.quantize else None
        print(json.dumps(measure(args.measure, args.dtype, scheme, args.prompt, args.new)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.work or Path(temporary) / args.geometry
        if not (folder / "config.json").is_file():
            make_checkpoint(folder, args.geometry)
        rows = [
            (scheme or args.dtype, measured(folder, args.dtype, scheme, args.prompt, args.new, args.threads))
            for scheme in (None, *args.quantize)
        ]
    text = report(rows, args)
    print(text)
    if args.report:
        page = args.report.read_text(encoding="utf-8")
        page = re.sub(f"{MARK}.*?{MARK}", f"{MARK}\n{text}\n{MARK}", page, flags=re.DOTALL)
        args.report.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
