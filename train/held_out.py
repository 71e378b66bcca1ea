"""Writes the evaluation set of the package: sentences, pictures and requests that training never uses.

python train/held_out.py --work-dir runs/nano --out ar_omni/assets/eval
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from pathlib import Path

import numpy as np
from PIL import Image

from ar_omni.evaluation.heldout import Pair, Request, save_held_out
from ar_omni.training.world.dialogues import styled, unspoken_requests
from ar_omni.training.world.pictures import STYLES, Concept, is_held_out_pair
from ar_omni.training.world.sentences import sentences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work-dir", type=Path, default=Path("runs/nano"))
    parser.add_argument("--out", type=Path, default=Path("ar_omni/assets/eval"))
    parser.add_argument("--image-size", type=int, default=96)
    args = parser.parse_args()
    concepts = [Concept(**row) for row in json.loads((args.work_dir / "concepts.json").read_text())]
    with np.load(args.work_dir / f"pictures-{args.image_size}.npz") as data:
        drawn = data["pictures"]
    rng = random.Random(2)
    pictures = {
        (concept.name, style): (concept, Image.fromarray(drawn[index, column]))
        for index, concept in enumerate(concepts)
        for column, style in enumerate(STYLES)
    }
    unseen = [key for key in pictures if is_held_out_pair(*key)]
    seen = [key for key in pictures if not is_held_out_pair(*key)]
    chosen = [*rng.sample(seen, 100), *rng.sample(unseen, 60)]
    rng.shuffle(chosen)
    save_held_out(
        args.out,
        [text for text in itertools.islice(sentences(seed=1, held_out=True), 200) if len(text.split()) >= 5][
            :100
        ],
        [(_pair(pictures[key][0], key[1]), pictures[key][1]) for key in chosen],
        [Request(*request) for request in rng.sample(list(unspoken_requests(concepts)), 60)],
        [(*key, picture) for key, (_, picture) in pictures.items()],
        picture_size=args.image_size,
    )


def _pair(concept: Concept, style: str) -> Pair:
    return Pair(concept.name, style, styled(concept.phrase, style), not is_held_out_pair(concept.name, style))


if __name__ == "__main__":
    main()
