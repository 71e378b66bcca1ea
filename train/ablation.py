"""Trains small decoders with one thing changed at a time, with equal seeds and budgets, and compares them.

    python train/ablation.py --jobs 2

Learns from what the bundled nano learned from, and needs the extras `[train]` and `[eval]`. Restartable:
`runs.jsonl` has a line a measured run, and a training goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch

from ar_omni import AROmni
from ar_omni.decoding import load_presets
from ar_omni.evaluation.ablation import Ablation, Notes, table
from ar_omni.evaluation.heldout import HeldOut
from ar_omni.evaluation.probes import probe
from ar_omni.evaluation.voice import Reader
from ar_omni.media import replacing
from ar_omni.training.arguments import load_recipe, one_line_errors
from ar_omni.training.world.tasks import World

SCRIPT = Path(__file__).with_name("pretrain.py")
MARK = "<!-- ablation -->"


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipe", type=Path, default=Path("configs/ablation.yaml"))
    parser.add_argument("--layout", type=Path, default=Path("configs/nano"), help="folder of the presets")
    parser.add_argument("--data", type=Path, default=Path("configs/nano"), help="the tokenized world")
    parser.add_argument("--tokenizers", type=Path, default=Path("ar_omni/assets/nano"))
    parser.add_argument("--work-dir", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--steps", type=int, default=1000, help="budget of each training")
    parser.add_argument("--limit", type=int, default=100, help="sentences and things to measure with")
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side, each with one thread")
    parser.add_argument("--page", type=Path, default=Path("docs/ablation.md"), help="gets the table")
    args = parser.parse_args()
    ablation = load_recipe(args.recipe, Ablation)
    notes = Notes(args.work_dir / "runs.jsonl")
    budget = {"steps": args.steps, "limit": args.limit}
    jobs = [
        [{"variant": variant, "decoding": decoding, "seed": seed} | budget for decoding in decodings]
        for variant, seed, decodings in ablation.runs()
    ]
    remaining = [left for job in jobs if (left := [run for run in job if not notes.rows(**run)])]
    for found in side_by_side(partial(run_all, ablation, args), remaining, args.jobs):
        for run in found:
            notes.add(run)
        write_page(args.page, f"{args.steps:,} steps. {table(ablation, notes.rows(**budget))}")
    print(table(ablation, notes.rows(**budget)))


def side_by_side(function, jobs: list, count: int):
    """The results in order; several jobs at once are faster than one on several cores."""
    if count == 1:
        yield from map(function, jobs)
    else:
        with ProcessPoolExecutor(count, get_context("spawn"), one_thread) as pool:
            yield from pool.map(function, jobs)


def one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # of the trainings
    torch.set_num_threads(1)


def run_all(ablation: Ablation, args: argparse.Namespace, runs: list[dict]) -> list[dict]:
    """Trains a variant with a seed, and measures it with each of the decodings; the finished `runs`."""
    folder = trained(ablation, runs[0]["variant"], runs[0]["seed"], args)
    return [run | measured(ablation, run, folder, args) for run in runs]


def trained(ablation: Ablation, variant: str, seed: int, args: argparse.Namespace) -> Path:
    """The folder of a training that has got its steps."""
    folder = args.work_dir / f"{'-'.join(variant.split())}-{seed}-{args.steps}"
    command = [sys.executable, SCRIPT, "--work-dir", folder]
    command += ["--world", args.data, "--tokenizers", args.tokenizers]
    command += ["--recipe", ablation.recipe, "--layout", args.layout, "--set", *ablation.changed(variant)]
    subprocess.run([*map(str, command), f"loop.steps={args.steps}", f"seed={seed}"], check=True)
    return folder


def measured(ablation: Ablation, run: dict, folder: Path, args: argparse.Namespace) -> dict:
    """The run's figures, and its last line of the training's log."""
    started = time.time()
    omni, read = AROmni.from_pretrained(folder / "nano"), Reader()
    changes = ablation.decodings[run["decoding"]]
    omni.presets = {task: preset.override(**changes) for task, preset in load_presets(args.layout).items()}
    recipe = load_recipe(ablation.recipe, changes=ablation.changed(run["variant"]))
    world = World.load(args.data, recipe.groups)
    encode = omni.processor.speech_tokenizer.encode
    spoken = [(text.lower(), encode(read(text))) for text in HeldOut().sentences[: args.limit]]
    found = probe(omni, world, spoken, args.limit)
    log = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return {
        "figures": ablation.pick(found),
        "all": found,
        "training": json.loads(log[-1]),
        "measured_s": round(time.time() - started),
    }


def write_page(page: Path, text: str) -> None:
    """Replaces what is between the page's marks."""
    old = page.read_text(encoding="utf-8")
    with replacing(page) as temporary:
        block = f"{MARK}\n{text}\n{MARK}"
        new = re.sub(f"{MARK}.*?{MARK}", lambda _: block, old, flags=re.DOTALL)
        temporary.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
