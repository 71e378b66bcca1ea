"""Gives a model of nano's kind a new voice, from recordings of it, and writes a checkpoint that speaks in it.

    python train/voice.py --recordings "my_voice/*.wav" --work-dir runs/voice

Half an hour of speech is enough; what is said in it need not be written down. Words and timing stay the
model's own. `AROmni.from_pretrained("runs/voice/model")` loads what comes of it. Started again with the
same recordings, it goes on.
"""

from __future__ import annotations

import argparse
import glob
import hashlib
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from ar_omni import AROmni, Audio
from ar_omni.errors import InputError
from ar_omni.tokenizers.speech import NanoSpeechTokenizer
from ar_omni.training.arguments import one_line_errors
from ar_omni.training.checkpoints import exported
from ar_omni.training.precision import fast_float32
from ar_omni.training.tokenizer_loop import Budget, fit
from ar_omni.training.voice import VoiceTrainer, latents
from ar_omni.training.world.sentences import sentences

SPOKEN = 64
"""Sentences that the model says, to learn where its own speech lies."""


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recordings", required=True, help="a glob pattern of wav, flac, ogg or mp3 files")
    parser.add_argument("--work-dir", type=Path, default=Path("runs/voice"))
    parser.add_argument("--model", help="a checkpoint folder (default: the bundled nano)")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--batch-size", type=int, default=12)
    parser.add_argument("--codes", type=int, default=40, help="length of a training crop, in codes")
    args = parser.parse_args()
    torch.manual_seed(0)
    fast_float32()
    omni = AROmni.from_pretrained(args.model)
    tokenizer = omni.processor.speech_tokenizer
    if not isinstance(tokenizer, NanoSpeechTokenizer):
        raise InputError(f"expected a model with nano's codec, got one with {type(tokenizer).__name__}")
    recordings = [Audio.load(path, tokenizer.sample_rate) for path in sorted(glob.glob(args.recordings))]
    pieces = [np.zeros(0, np.float32), *(recording.samples for recording in recordings)]
    samples = torch.from_numpy(np.concatenate(pieces))
    length = args.codes * tokenizer.hop_length
    if len(samples) < length:
        raise InputError(
            f"expected {length / tokenizer.sample_rate:g} seconds of speech or more in {args.recordings}, "
            f"got {len(recordings)} recordings of {len(samples) / tokenizer.sample_rate:g} seconds"
        )
    said = omni.generate(list(islice(sentences(seed=0), SPOKEN)), task="speak", outputs=("speech",), seed=0)
    network = tokenizer.network
    own = latents(network, (reply.audio for reply in said if reply.audio))
    trainer = VoiceTrainer(network, own, latents(network, recordings))
    digest = hashlib.blake2b(samples.numpy(), digest_size=4).hexdigest()  # other recordings begin anew

    def losses(step: int) -> dict[str, torch.Tensor]:
        starts = torch.randint(len(samples) - length + 1, (args.batch_size,)).tolist()
        return trainer.losses(torch.stack([samples[start : start + length] for start in starts]))

    fit(trainer, losses, Budget(args.steps, args.learning_rate), args.work_dir / f"voice-{digest}.pt")
    with exported(args.work_dir / "model") as folder:
        omni.save_pretrained(folder)


if __name__ == "__main__":
    main()
