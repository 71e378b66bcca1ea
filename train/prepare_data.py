"""Makes nano's raw data: pictures of 574 concepts in three styles, and speech of one Piper voice.

    python train/prepare_data.py --work-dir runs/nano --utterances 4500

Needs npm for the picture packages and the `[train]` extra for Piper. Restartable: finished shards are kept.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ar_omni.training.world import dialogues, pictures, sentences, voices

SHARD = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work-dir", type=Path, default=Path("runs/nano"))
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--sentences", type=int, default=3000)
    parser.add_argument("--phrases", type=int, default=2000)
    parser.add_argument("--utterances", type=int, default=4500, help="how many of all lines are spoken")
    parser.add_argument("--held-out", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    concepts = prepare_pictures(args.work_dir, args.image_size)
    lines = mixed(
        list(itertools.islice(sentences.sentences(seed=0), args.sentences)),
        list(itertools.islice(sentences.phrases(seed=0), args.phrases)),
        list(dict.fromkeys(dialogues.spoken_lines(concepts))),
    )
    held_out = list(itertools.islice(sentences.sentences(seed=1, held_out=True), args.held_out))
    speak(held_out, args.work_dir / "speech" / "held_out", args.workers)
    speak(lines[: args.utterances], args.work_dir / "speech" / "train", args.workers)


def prepare_pictures(work_dir: Path, size: int) -> list[pictures.Concept]:
    """Installs the emoji packages, draws every concept in every style once, and returns the concepts."""
    modules = work_dir / "npm" / "node_modules"
    if not modules.exists():
        subprocess.run(
            ["npm", "install", "--silent", "--prefix", work_dir / "npm", *pictures.PACKAGES], check=True
        )
    source = pictures.Pictures(modules)
    concepts = source.concepts()
    target = work_dir / f"pictures-{size}.npz"
    if not target.exists():
        drawn = [
            [np.asarray(source.draw(concept, style, size)) for style in pictures.STYLES]
            for concept in tqdm(concepts, desc="pictures")
        ]
        partial_file = target.with_suffix(".partial.npz")
        np.savez_compressed(partial_file, pictures=np.array(drawn))
        partial_file.rename(target)
        (work_dir / "concepts.json").write_text(json.dumps([vars(concept) for concept in concepts], indent=1))
    return concepts


def mixed(*lists: list[str]) -> list[str]:
    """All lines, each list spread evenly, so that any prefix of the work is a usable data set."""
    keyed = [((index + 0.5) / len(lines), line) for lines in lists for index, line in enumerate(lines)]
    return [line for _, line in sorted(keyed)]


def speak(lines: list[str], folder: Path, workers: int) -> None:
    """Speaks the lines in shards of 50, several processes at once; shards already there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = [lines[start : start + SHARD] for start in range(0, len(lines), SHARD)]
    jobs = [
        (index, shard) for index, shard in enumerate(shards) if not (folder / f"{index:05d}.npz").exists()
    ]
    with ProcessPoolExecutor(workers) as pool:
        list(tqdm(pool.map(partial(speak_shard, folder), jobs), total=len(jobs), desc=folder.name))


def speak_shard(folder: Path, job: tuple[int, list[str]]) -> None:
    index, lines = job
    voice = speaker()
    voices.save_shard(folder / f"{index:05d}.npz", [voice.say(line) for line in lines])


@cache
def speaker() -> voices.PiperSpeaker:
    """This process's voice, on a core of its own."""
    voices.pin_to_core(os.getpid())
    return voices.PiperSpeaker()


if __name__ == "__main__":
    main()
