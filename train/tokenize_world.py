"""Turns the prepared pictures and speech into codes, once, with the trained tokenizers.

    python train/tokenize_world.py --work-dir runs/nano

With `--world configs/nano --tokenizers ar_omni/assets/nano` what the bundled nano learned from grows instead.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from ar_omni.media import Audio
from ar_omni.tokenizers import load_tokenizer
from ar_omni.tokenizers.base import ImageTokenizer
from ar_omni.training.precision import fast_float32
from ar_omni.training.world.codes import Codes
from ar_omni.training.world.crowd import SPEAKERS
from ar_omni.training.world.pictures import Concept, Pictures, load_concepts
from ar_omni.training.world.views import ARTISTS, Views, views
from ar_omni.training.world.voices import MAIN_VOICE, SAMPLE_RATE, load_shard, written_word_ends


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work-dir", type=Path, default=Path("runs/nano"))
    parser.add_argument("--world", type=Path, help="folder of a codes.npz to add the new utterances to")
    parser.add_argument("--tokenizers", type=Path, help="folder of the tokenizers (the work folder)")
    args = parser.parse_args()
    fast_float32()
    tokenizers = args.tokenizers or args.work_dir
    codes = Codes.load(args.world / "codes.npz") if args.world else Codes()
    speech, known = load_tokenizer(tokenizers / "speech_tokenizer"), codes.spoken()
    for path in tqdm(sorted((args.work_dir / "speech").glob("*/*.npz")), desc="speech", mininterval=5):
        voice = path.parent.name if path.parent.name in SPEAKERS else MAIN_VOICE
        for item in load_shard(path):
            if (item.text.lower(), voice) in known:
                continue
            ends = [round(end / speech.hop_length) for end in written_word_ends(item)]
            heard = speech.encode(Audio(item.samples.astype(np.float32) / 32768, SAMPLE_RATE))
            codes.add(item.text.lower(), voice, heard, ends)
    if codes.pictures is None:
        codes.pictures = tokenized_pictures(args.work_dir, load_tokenizer(tokenizers / "image_tokenizer"))
    codes.save((args.world or args.work_dir) / "codes.npz")
    if not (target := (args.world or args.work_dir) / "views.npz").exists():
        tokenized_views(args.work_dir, tokenizers / "image_tokenizer").save(target)


def tokenized_pictures(work_dir: Path, image: ImageTokenizer) -> np.ndarray:
    """Every prepared picture's codes, (concepts, styles, codes)."""
    with np.load(work_dir / f"pictures-{image.image_size}.npz") as data:
        drawn = data["pictures"]
    return np.array(
        [
            [image.encode(Image.fromarray(styled)) for styled in concept]
            for concept in tqdm(drawn, desc="pictures", mininterval=5)
        ]
    )


def tokenized_views(work_dir: Path, tokenizer: Path) -> Views:
    """Every concept's views, drawn from the picture packages and encoded by several processes."""
    concepts = load_concepts(work_dir / "concepts.json")
    with ProcessPoolExecutor(initializer=torch.set_num_threads, initargs=(1,)) as pool:
        work = pool.map(partial(encoded_views, work_dir, tokenizer), concepts, chunksize=8)
        codes, artists = zip(*tqdm(work, total=len(concepts), desc="views", mininterval=5), strict=True)
    return Views(np.array(codes), np.array(artists))


def encoded_views(work_dir: Path, tokenizer: Path, concept: Concept) -> tuple[np.ndarray, list[int]]:
    """The codes of a concept's views, and who drew each."""
    image = loaded(tokenizer)
    shown = list(views(packages(work_dir), concept, image.image_size))
    codes = np.array([image.encode(picture) for _, picture in shown], np.int16)
    return codes, [ARTISTS.index(artist) for artist, _ in shown]


packages = cache(lambda work_dir: Pictures(work_dir / "npm" / "node_modules"))
loaded = cache(load_tokenizer)


if __name__ == "__main__":
    main()
