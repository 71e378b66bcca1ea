"""Load, prefill and decode a random checkpoint of a large geometry on the CPU, and measure time and memory.

    python benchmarks/large_model.py --geometry 7b --quantize int8 int4 --report docs/large_models.md

The checkpoint takes 14 GB of disk for 7b, where the system keeps temporary files, or in --work, which keeps
it. Each measurement runs in a process of its own, so that its peak of memory is its own, and the report is
written after each of them.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from tqdm import tqdm

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
PIECE_ROWS = 1024
NOISE_VALUES = 1 << 26
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
    # drawn once and taken from random places: drawing all values takes longer than writing them
    noise = torch.empty(NOISE_VALUES, dtype=torch.bfloat16).uniform_(-0.03, 0.03, generator=generator)

    def lazy(name: str, shape: tuple[int, ...]) -> LazyTensor:
        def read():
            if "norm" in name:
                yield torch.full(shape, float("weight" in name), dtype=torch.bfloat16)
                return
            for start in range(0, shape[0], PIECE_ROWS):
                count = min(PIECE_ROWS, shape[0] - start) * shape[1]
                place = int(torch.randint(NOISE_VALUES - count, (), generator=generator))
                yield noise[place : place + count]

        return LazyTensor(shape, torch.bfloat16, read)

    tensors = {name: lazy(name, shape) for name, shape in expected_shapes(config).items()}
    folder.mkdir(parents=True, exist_ok=True)
    size, free = sum(tensor.nbytes for tensor in tensors.values()), shutil.disk_usage(folder).free
    if free < size:
        sys.exit(f"expected {size / 1e9:.1f} GB free in {folder}, got {free / 1e9:.1f}; name another --work")
    write_tensors(folder, tensors, progress=True)
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
    tell(f"loaded in {loaded - started:.0f} s, {after_load / 2**30:.1f} GiB at most")
    sequence = Sequence([i % config["vocab_size"] for i in range(7, 7 + prompt)])
    hidden = network.forward([sequence])
    prefilled = time.perf_counter()
    tell(f"read {prompt} ids in {prefilled - loaded:.0f} s")
    span = Vocabulary.from_dict(config["vocabulary"]).text
    for _ in tqdm(range(new), desc="decode", unit="id"):
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
    """The largest resident size that this process has had, in bytes.

    Not `ru_maxrss`, which a child inherits from its parent at the fork.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024


def measured(folder: Path, dtype: str, quantize: str | None, prompt: int, new: int, threads: int) -> dict:
    """`measure` in a new process.

    Raises:
        subprocess.CalledProcessError: it failed, or was killed, such as for its memory.
    """
    command = [sys.executable, __file__, "--measure", str(folder), "--dtype", dtype, "--prompt", str(prompt)]
    command += ["--new", str(new), "--threads", str(threads)] + (["--quantize", quantize] if quantize else [])
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def report(rows: dict[str, dict], args: argparse.Namespace) -> str:
    """The measurements as a Markdown table."""
    lines = [
        f"Geometry {args.geometry}, {args.threads} threads, torch {torch.__version__} "
        f"({torch.backends.cpu.get_cpu_capability()}), {args.prompt} ids prefilled, {args.new} decoded.",
        "",
        "| weights | load s | prefill ids/s | decode ids/s | peak while loading GiB | peak GiB |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        speeds = f"{row['load_s']:.1f} | {row['prefill_tokens_s']:.1f} | {row['decode_tokens_s']:.2f}"
        memory = f"{row['load_peak_bytes'] / 2**30:.2f} | {row['peak_bytes'] / 2**30:.2f}"
        lines.append(f"| {name} | {speeds} | {memory} |")
    return "\n".join(lines)


def write_report(text: str, page: Path) -> None:
    """Replaces the measured part of a Markdown page."""
    old = page.read_text(encoding="utf-8")
    page.write_text(
        re.sub(f"{MARK}.*?{MARK}", f"{MARK}\n{text}\n{MARK}", old, flags=re.DOTALL), encoding="utf-8"
    )


def run(folder: Path, args: argparse.Namespace) -> list[str]:
    """Measures every scheme, each result reported when it is there; what went wrong, a line each."""
    if not (folder / "config.json").is_file():
        make_checkpoint(folder, args.geometry)
    rows, wrong = {}, []
    for scheme in (None, *args.quantize):
        name = scheme or args.dtype
        tell(f"{name}: loading")
        try:
            rows[name] = measured(folder, args.dtype, scheme, args.prompt, args.new, args.threads)
        except subprocess.CalledProcessError as error:
            wrong.append(f"{name}: the process ended with {error.returncode} (-9: killed for its memory)")
            continue
        if (peak := rows[name]["peak_bytes"] / 2**30) > args.limit:
            wrong.append(f"{name}: expected at most {args.limit:g} GiB, got {peak:.2f}")
        if args.report:
            write_report(report(rows, args), args.report)
    print(report(rows, args))
    return wrong


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--geometry", choices=GEOMETRIES, default="7b")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--quantize", nargs="*", default=[], choices=SCHEMES, help="also measure these")
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--new", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=float, default=20.0, help="GiB; more than this is a failure")
    parser.add_argument("--work", type=Path, help="keeps the checkpoint (default: a temporary folder)")
    parser.add_argument("--report", type=Path, help="a Markdown page whose measured part is replaced")
    parser.add_argument("--measure", type=Path, help="measure this folder in this process; prints json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.measure:
        scheme = args.quantize[0] if args.quantize else None
        print(json.dumps(measure(args.measure, args.dtype, scheme, args.prompt, args.new)))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # the temporary folder goes, too
    with tempfile.TemporaryDirectory() as temporary:
        wrong = run(args.work or Path(temporary) / args.geometry, args)
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
