"""Trains nano's speech codec on the prepared speech of all voices and saves it.

    python train/speech_tokenizer.py --work-dir runs/nano --steps 5000

With `--decoder --init ar_omni/assets/nano/speech_tokenizer` the decoder of a trained codec learns to sound
like recordings; codes stay what they are. Two thousand steps kept more words, and sounded less natural.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from ar_omni.tokenizers.speech import NanoSpeechTokenizer
from ar_omni.tokenizers.speech_network import SpeechTokenizerConfig
from ar_omni.training.precision import fast_float32
from ar_omni.training.speech_tokenizer import (
    SpeechDecoderTrainer,
    SpeechTokenizerTrainer,
    phoneme_inventory,
    phoneme_labels,
)
from ar_omni.training.tokenizer_loop import Budget, fit
from ar_omni.training.world.voices import load_shard


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work-dir", type=Path, default=Path("runs/nano"))
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--init", type=Path, help="a trained codec to go on from")
    parser.add_argument(
        "--decoder", action="store_true", help="train the decoder of --init, and nothing else"
    )
    parser.add_argument("--shards", type=int, default=120, help="of each folder of speech, at most")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--batch-size", type=int, default=12)
    parser.add_argument("--codes", type=int, default=40, help="length of a training crop, in codes")
    args = parser.parse_args()
    if args.decoder and not args.init:
        parser.error("expected --init beside --decoder: the codec whose decoder is to be trained")
    torch.manual_seed(0)
    fast_float32()
    config = SpeechTokenizerConfig()
    utterances = [
        item
        for folder in sorted((args.work_dir / "speech").iterdir())
        for path in sorted(folder.glob("*.npz"))[: args.shards]
        for item in load_shard(path)
    ]
    inventory = stored_inventory(args.work_dir / "phonemes.json", utterances)
    samples, labels = recordings(utterances, inventory, config.hop_length, args.codes)
    trained = NanoSpeechTokenizer.load(args.init).network if args.init else None
    if args.decoder:
        trainer = SpeechDecoderTrainer(trained)
    else:
        trainer = SpeechTokenizerTrainer(config, len(inventory) + 1, trained)

    def losses(step: int) -> dict[str, torch.Tensor]:
        starts = torch.randint(len(labels) - args.codes, (args.batch_size,)).tolist()
        hop = config.hop_length
        crops = torch.stack([samples[start * hop : (start + args.codes) * hop] for start in starts])
        targets = torch.stack([labels[start : start + args.codes] for start in starts])
        return trainer.losses(crops.float() / 32768, targets)

    budget = Budget(args.steps, args.learning_rate)
    fit(trainer, losses, budget, args.work_dir / f"speech_{'decoder' if args.decoder else 'tokenizer'}.pt")
    NanoSpeechTokenizer(config, trainer.network).save(args.work_dir / "speech_tokenizer")


def stored_inventory(path: Path, utterances) -> dict[str, int]:
    """The phoneme classes of the first run: later speech must not renumber what a checkpoint knows."""
    if not path.exists():
        path.write_text(json.dumps(phoneme_inventory(utterances)))
    return json.loads(path.read_text())


def recordings(
    utterances, inventory: dict[str, int], hop: int, crop: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """All speech end to end, int16 (N * hop,), and its phoneme labels, int64 (N,)."""
    labels = [phoneme_labels(item, inventory, hop) for item in utterances]
    padded = [
        np.pad(item.samples, (0, len(row) * hop - len(item.samples)))
        for item, row in zip(utterances, labels, strict=True)
    ]
    return torch.from_numpy(np.concatenate(padded)), torch.from_numpy(np.concatenate(labels))


if __name__ == "__main__":
    main()
