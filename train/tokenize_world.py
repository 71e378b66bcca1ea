"""Turns the prepared pictures and speech into codes, once, with the trained tokenizers.

    python train/tokenize_world.py --work-dir runs/nano

With `--world configs/nano --tokenizers ar_omni/assets/nano` what the bundled nano learned from grows instead.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from ar_omni.media import Audio
from ar_omni.tokenizers import load_tokenizer
from ar_omni.tokenizers.base import ImageTokenizer
from ar_omni.tokenizers.semantic import SemanticEncoder
from ar_omni.training.augmentation import plain, shown
from ar_omni.training.precision import fast_float32
from ar_omni.training.world.codes import Codes
from ar_omni.training.world.crowd import SPEAKERS
from ar_omni.training.world.views import COPIES, Cutouts, Views
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
    image = load_tokenizer(tokenizers / "image_tokenizer")
    if codes.pictures is None:
        codes.pictures = tokenized_pictures(args.work_dir, image)
    codes.save((args.world or args.work_dir) / "codes.npz")
    if image.semantic and not (target := (args.world or args.work_dir) / "views.npz").exists():
        tokenized_views(Cutouts.load(args.work_dir / "cutouts-96.npz"), image.semantic).save(target)


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


@torch.inference_mode()
def tokenized_views(cutouts: Cutouts, encoder: SemanticEncoder) -> Views:
    """What is seen of every concept: each artist's picture as it is, then changed ones of all of them."""
    torch.manual_seed(1)
    size = encoder.config.image_size
    codes, artists = [], []
    for number in tqdm(range(cutouts.concepts.max() + 1), desc="views", mininterval=5):
        own = np.flatnonzero(cutouts.concepts == number)
        places = np.resize(own, COPIES)
        pixels = torch.from_numpy(cutouts.pixels[places])
        pictures = torch.cat([plain(pixels[: len(own)], size), shown(pixels[len(own) :], size)])
        codes.append(encoder.encode(pictures).numpy())
        artists.append(cutouts.artists[places])
    return Views(np.array(codes), np.array(artists))


if __name__ == "__main__":
    main()
