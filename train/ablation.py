"""Trains nano with one thing changed at a time, with equal seeds and budgets, and compares what comes out.

    python train/ablation.py --data runs/nano --steps 1500 --limit 40

Needs the tokenized data and the tokenizers of `make nano`, and the extras `[train]` and `[eval]`.
Restartable: `runs.jsonl` has a line a measured run, and a training goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path

from ar_omni import AROmni
from ar_omni.decoding import load_presets
from ar_omni.evaluation.ablation import Ablation, Notes, table
from ar_omni.evaluation.run import evaluate
from ar_omni.media import replacing
from ar_omni.training.arguments import load_recipe, one_line_errors

SCRIPT = Path(__file__).with_name("pretrain.py")
MARK = "<!-- ablation -->"


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipe", type=Path, default=Path("configs/ablation.yaml"))
    parser.add_argument("--layout", type=Path, default=Path("configs/nano"), help="folder of the presets")
    parser.add_argument("--data", type=Path, default=Path("runs/nano"), help="folder of the tokenized world")
    parser.add_argument("--work-dir", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--steps", type=int, default=1500, help="budget of each training")
    parser.add_argument("--limit", type=int, default=40, help="items measured of each suite")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--page", type=Path, default=Path("docs/ablation.md"), help="gets the table")
    args = parser.parse_args()
    ablation = load_recipe(args.recipe, Ablation)
    notes = Notes(args.work_dir / "runs.jsonl")
    budget = {"steps": args.steps, "limit": args.limit}
    for variant, seed, decodings in ablation.runs():
        runs = [{"variant": variant, "decoding": decoding, "seed": seed} | budget for decoding in decodings]
        todo = [run for run in runs if not notes.rows(**run)]
        folder = trained(ablation, variant, seed, args) if todo else None
        for run in todo:
            notes.add(run | measured(ablation, run["decoding"], folder, args))
            write_page(args.page, f"{args.steps:,} steps. {table(ablation, notes.rows(**budget))}")
    print(table(ablation, notes.rows(**budget)))


def trained(ablation: Ablation, variant: str, seed: int, args: argparse.Namespace) -> Path:
    """The folder of a training that has got its steps."""
    folder = args.work_dir / f"{'-'.join(variant.split())}-{seed}-{args.steps}"
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(args.processes))
    command = [sys.executable, *(launcher if args.processes > 1 else ()), SCRIPT, "--work-dir", folder]
    command += ["--world", args.data, "--tokenizers", args.data]
    command += ["--recipe", ablation.recipe, "--layout", args.layout, "--set", *ablation.variants[variant]]
    subprocess.run([*map(str, command), f"loop.steps={args.steps}", f"seed={seed}"], check=True)
    return folder


def measured(ablation: Ablation, decoding: str, folder: Path, args: argparse.Namespace) -> dict:
    """The run's figures, and its last line of the training's log."""
    started = time.time()
    omni = AROmni.from_pretrained(folder / "nano")
    changes = ablation.decodings[decoding]
    omni.presets = {task: preset.override(**changes) for task, preset in load_presets(args.layout).items()}
    figures = ablation.pick(evaluate(omni, ablation.suites, limit=args.limit))
    log = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return {"figures": figures, "training": json.loads(log[-1]), "measured_s": round(time.time() - started)}


def write_page(page: Path, text: str) -> None:
    """Replaces what is between the page's marks."""
    old = page.read_text(encoding="utf-8")
    with replacing(page) as temporary:
        block = f"{MARK}\n{text}\n{MARK}"
        new = re.sub(f"{MARK}.*?{MARK}", lambda _: block, old, flags=re.DOTALL)
        temporary.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
