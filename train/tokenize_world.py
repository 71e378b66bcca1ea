"""Turns the prepared pictures and speech into codes, once, with the trained tokenizers.

python train/tokenize_world.py --work-dir runs/nano
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from ar_omni.media import Audio
from ar_omni.tokenizers import load_tokenizer
from ar_omni.training.precision import fast_float32
from ar_omni.training.world.voices import MAIN_VOICE, SAMPLE_RATE, VOICES, load_shard, word_ends


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work-dir", type=Path, default=Path("runs/nano"))
    work_dir = parser.parse_args().work_dir
    fast_float32()
    speech = load_tokenizer(work_dir / "speech_tokenizer")
    image = load_tokenizer(work_dir / "image_tokenizer")
    texts, voices, codes, words = [], [], [], []
    for path in tqdm(sorted((work_dir / "speech").glob("*/*.npz")), desc="speech", mininterval=5):
        for item in load_shard(path):
            texts.append(item.text.lower())
            voices.append(path.parent.name if path.parent.name in VOICES else MAIN_VOICE)
            codes.append(speech.encode(Audio(item.samples.astype(np.float32) / 32768, SAMPLE_RATE)))
            ends = [round(end / speech.hop_length) for end in word_ends(item)]
            words.append(ends if len(ends) == len(item.text.split()) else [])
    with np.load(work_dir / f"pictures-{image.image_size}.npz") as data:
        drawn = data["pictures"]
    pictures = [
        [image.encode(Image.fromarray(styled)) for styled in concept]
        for concept in tqdm(drawn, desc="pictures", mininterval=5)
    ]
    partial = work_dir / "codes.partial.npz"
    np.savez_compressed(
        partial,
        texts=np.array(texts),
        voices=np.array(voices),
        lengths=np.array([len(row) for row in codes]),
        speech=np.concatenate(codes).astype(np.int16),
        word_counts=np.array([len(ends) for ends in words]),
        word_ends=np.array([end for ends in words for end in ends]),
        pictures=np.array(pictures, dtype=np.int16),
    )
    partial.rename(work_dir / "codes.npz")


if __name__ == "__main__":
    main()
