"""Trains nano's image tokenizer on the prepared pictures and saves it with its reconstruction quality.

    python train/image_tokenizer.py --work-dir runs/nano --steps 3000

With `--decoder ar_omni/assets/nano/image_tokenizer` the decoder of that one learns to draw more sharply;
codes stay what they are, and so does what a language model has learned of them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from ar_omni.tokenizers.image import ImageTokenizerConfig, NanoImageTokenizer
from ar_omni.training.image_tokenizer import ImageDecoderTrainer, ImageTokenizerTrainer, psnr
from ar_omni.training.precision import fast_float32
from ar_omni.training.tokenizer_loop import Budget, fit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work-dir", type=Path, default=Path("runs/nano"))
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument(
        "--decoder", type=Path, help="a tokenizer whose decoder learns more, and nothing else"
    )
    parser.add_argument("--batch-size", type=int, default=16)
    args = parser.parse_args()
    torch.manual_seed(0)
    fast_float32()
    trained = NanoImageTokenizer.load(args.decoder) if args.decoder else None
    config = trained.config if trained else ImageTokenizerConfig()
    with np.load(args.work_dir / f"pictures-{config.image_size}.npz") as data:
        pictures = torch.from_numpy(data["pictures"]).flatten(0, 1).permute(0, 3, 1, 2).contiguous()
    trainer = ImageDecoderTrainer(trained.network) if trained else ImageTokenizerTrainer(config)

    def losses(step: int) -> dict[str, torch.Tensor]:
        chosen = torch.randint(len(pictures), (args.batch_size,))
        return trainer.losses(normalized(pictures[chosen]))

    checkpoint = f"image_{'decoder' if trained else 'tokenizer'}.pt"
    fit(trainer, losses, Budget(args.steps), args.work_dir / checkpoint)
    semantic = trained.semantic if trained else None
    NanoImageTokenizer(config, trainer.network, semantic).save(args.work_dir / "image_tokenizer")
    print(json.dumps(quality(trainer.network, pictures), indent=2))


def normalized(pictures: torch.Tensor) -> torch.Tensor:
    """uint8 (B, 3, S, S) -> float32 in [-1, 1]."""
    return (pictures.float() / 127.5 - 1).to(memory_format=torch.channels_last)


@torch.inference_mode()
def quality(network, pictures: torch.Tensor) -> dict[str, float]:
    """PSNR in dB, share of pictures whose reconstruction is nearest to themselves, share of codes in use."""
    restored, codes = [], []
    for batch in pictures.split(64):
        found = network.quantizer.encode(network.encode(normalized(batch)))
        codes.append(found.flatten())
        restored.append(network.decode(network.quantizer.lookup(found)))
    restored, originals = torch.cat(restored), normalized(pictures)
    nearest = torch.cdist(restored.flatten(1), originals.flatten(1)).argmin(1)
    return {
        "psnr": psnr(restored, originals).mean().item(),
        "nearest_is_itself": (nearest == torch.arange(len(nearest))).float().mean().item(),
        "codes_in_use": len(torch.cat(codes).unique()) / len(network.quantizer.codebook),
    }


if __name__ == "__main__":
    main()
