"""Trains the codes by which nano sees what a picture shows, and puts them beside its image tokenizer.

    python train/semantic_encoder.py --work-dir runs/nano --steps 15000

With `--init IMAGE_TOKENIZER` one that sees already learns to see better, and a decoder goes on to read its
codes: what it remembers keeps them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import torch

from ar_omni.tokenizers.image import NanoImageTokenizer
from ar_omni.tokenizers.semantic import SemanticConfig, SemanticEncoder
from ar_omni.training.augmentation import GENTLE, plain, shown
from ar_omni.training.precision import fast_float32
from ar_omni.training.semantic import SemanticTrainer, by_artist, pairs, word_table
from ar_omni.training.tokenizer_loop import Budget, fit
from ar_omni.training.world.pictures import ARTISTS, STYLES, load_concepts
from ar_omni.training.world.views import Cutouts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work-dir", type=Path, default=Path("runs/nano"))
    parser.add_argument("--tokenizer", type=Path, help="the image tokenizer (the work folder's)")
    parser.add_argument("--steps", type=int, default=15000)
    parser.add_argument("--init", type=Path, help="an image tokenizer whose semantic encoder learns more")
    parser.add_argument("--batch-size", type=int, default=128)
    args = parser.parse_args()
    torch.manual_seed(0)
    fast_float32()
    encoder, checkpoint = SemanticEncoder(SemanticConfig()), "semantic_encoder.pt"
    if args.init:
        encoder, checkpoint = NanoImageTokenizer.load(args.init).semantic, "semantic_encoder_more.pt"
        if encoder is None:
            parser.error(
                f"expected an image tokenizer that sees, got {args.init}: leave out --init to make one"
            )
        encoder.requires_grad_(True)
    config = encoder.config
    cutouts = Cutouts.load(args.work_dir / "cutouts-96.npz")
    pixels, things, artists = map(torch.from_numpy, (cutouts.pixels, cutouts.concepts, cutouts.artists))
    concepts = load_concepts(args.work_dir / "concepts.json")
    trainer, size = SemanticTrainer(encoder, word_table(concepts), len(ARTISTS)), config.image_size

    def losses(step: int) -> dict[str, torch.Tensor]:
        chosen = pairs(things, args.batch_size)
        drawn = by_artist(artists, args.batch_size, len(STYLES))
        as_is = torch.rand(len(drawn), 1, 1, 1) < 0.4
        plainer = torch.where(as_is, plain(pixels[drawn], size), shown(pixels[drawn], size, GENTLE))
        return trainer.losses(shown(pixels[chosen], size), plainer, things[chosen], artists[drawn])

    budget = Budget(args.steps, learning_rate=3e-3, weight_decay=0.05, floor=0.0, warmup=200)
    fit(trainer, losses, budget, args.work_dir / checkpoint)
    encoder = trainer.eval().remembering(shots(pixels, things, artists, size))
    tokenizer = NanoImageTokenizer.load(args.tokenizer or args.work_dir / "image_tokenizer")
    NanoImageTokenizer(tokenizer.config, tokenizer.network, encoder).save(args.work_dir / "image_tokenizer")
    print(json.dumps(quality(trainer, pixels, things, artists), indent=2))


def shots(pixels, things, artists, size: int) -> Iterator[tuple[torch.Tensor, ...]]:
    """Every picture as it is, with its thing and artist."""
    for rows in torch.arange(len(pixels)).split(256):
        yield plain(pixels[rows], size), things[rows], artists[rows]


@torch.inference_mode()
def quality(trainer: SemanticTrainer, pixels, things, artists) -> dict[str, float]:
    """Shares of the pictures that it learned from whose thing and whose artist it tells."""
    size = trainer.encoder.config.image_size
    guesses = [trainer.told(plain(batch, size)) for batch in pixels.split(256)]
    named, drawn = map(torch.cat, zip(*guesses, strict=True))
    return {
        "thing": (named == things).float().mean().item(),
        "artist": (drawn == artists).float().mean().item(),
    }


if __name__ == "__main__":
    main()
