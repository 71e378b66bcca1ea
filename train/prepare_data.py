"""Makes nano's raw data: pictures of 1,576 things in three styles, and speech of five voices and a crowd.

    python train/prepare_data.py --work-dir runs/nano

Needs npm for the picture packages, the `[train]` extra for Piper, and Debian's wordnet-base, flite and
espeak-ng. Restartable: finished shards are kept. With `--world configs/nano` nothing is spoken again that is
tokenized there, and `train/tokenize_world.py --world configs/nano` adds what is new.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import subprocess
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ar_omni.training.world import crowd, glosses, phrases, pictures, sentences, voices
from ar_omni.training.world.codes import Codes
from ar_omni.training.world.views import Cutouts

SHARD = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work-dir", type=Path, default=Path("runs/nano"))
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--sentences", type=int, default=6000, help="everyday sentences in the main voice")
    parser.add_argument("--examples", type=int, default=2000, help="sentences out of WordNet, likewise")
    parser.add_argument("--others", type=int, default=1200, help="everyday sentences in each other voice")
    parser.add_argument("--crowd", type=int, default=3000, help="sentences of many speakers, of each kind")
    parser.add_argument("--long", type=int, default=400, help="sentences of about twenty words, main voice")
    parser.add_argument("--world", type=Path, help="folder of a codes.npz: what it holds is not spoken again")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    concepts = prepare_pictures(args.work_dir, args.image_size)
    known = Codes.load(args.world / "codes.npz").spoken() if args.world else set()
    for name, (voice, lines) in groups(args, concepts).items():
        new = [line for line in lines if (line.lower(), voice) not in known]
        speak(voice, new, args.work_dir / "speech" / name, args.workers)


def groups(args: argparse.Namespace, concepts: list[pictures.Concept]) -> dict[str, tuple[str, list[str]]]:
    """Name of each folder of speech -> its voice and its lines."""
    everyday = sentences.sentences(seed=0)
    examples = [text for text in glosses.read_examples() if not sentences.is_held_out(text)]
    random.Random(0).shuffle(examples)
    said = {"sentences": (voices.MAIN_VOICE, list(itertools.islice(everyday, args.sentences)))}
    for voice in voices.VOICES:
        if voice != voices.MAIN_VOICE:
            said[voice] = voice, list(itertools.islice(everyday, args.others))
    talk = list(dict.fromkeys(phrases.spoken_lines(concepts)))
    crowded = itertools.islice(sentences.sentences(seed=6), args.crowd)
    said[crowd.CROWD] = crowd.CROWD, [*crowded, *examples[len(examples) - args.crowd :], *talk[::2]]
    said["dialogues"] = voices.MAIN_VOICE, talk
    said["long"] = voices.MAIN_VOICE, list(itertools.islice(sentences.joined(seed=4), args.long))
    said["examples"] = voices.MAIN_VOICE, examples[: args.examples]
    return said


def prepare_pictures(work_dir: Path, size: int) -> list[pictures.Concept]:
    """Installs the emoji packages, draws every concept in every style once and as other artists did, and
    returns the concepts."""
    modules = work_dir / "npm" / "node_modules"
    if not modules.exists():
        subprocess.run(
            ["npm", "install", "--silent", "--prefix", work_dir / "npm", *pictures.PACKAGES], check=True
        )
    source = pictures.Pictures(modules)
    concepts = source.concepts(glosses.read_glosses())
    target = work_dir / f"pictures-{size}.npz"
    if not target.exists():
        drawn = [
            [np.asarray(source.draw(concept, style, size)) for style in pictures.STYLES]
            for concept in tqdm(concepts, desc="pictures")
        ]
        partial_file = target.with_suffix(".partial.npz")
        np.savez_compressed(partial_file, pictures=np.array(drawn))
        partial_file.rename(target)
    if not (cutouts := work_dir / f"cutouts-{size}.npz").exists():
        Cutouts.drawn(source, concepts, size).save(cutouts)
    (work_dir / "concepts.json").write_text(json.dumps([vars(concept) for concept in concepts], indent=1))
    return concepts


def speak(voice: str, lines: list[str], folder: Path, workers: int) -> None:
    """Speaks the lines in shards of 50, several processes at once; shards already there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = [lines[start : start + SHARD] for start in range(0, len(lines), SHARD)]
    jobs = [
        (index, shard) for index, shard in enumerate(shards) if not (folder / f"{index:05d}.npz").exists()
    ]
    with ProcessPoolExecutor(workers) as pool:
        work = pool.map(partial(speak_shard, voice, folder), jobs)
        list(tqdm(work, total=len(jobs), desc=folder.name, mininterval=5))


def speak_shard(voice: str, folder: Path, job: tuple[int, list[str]]) -> None:
    index, lines = job
    voices.save_shard(folder / f"{index:05d}.npz", [speaker(voice).say(line) for line in lines])


@cache
def speaker(voice: str) -> voices.PiperSpeaker | voices.CommandSpeaker | crowd.Crowd:
    """This process's own voice."""
    return crowd.SPEAKERS[voice]()


if __name__ == "__main__":
    main()
