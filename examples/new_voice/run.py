"""Teaches nano to speak with a second voice, flite's slt, from half an hour of speech, and measures both.

    python examples/new_voice/run.py

Needs Debian's flite and the extras `[train]` and `[eval]`. `runs/new_voice/slt-30-minutes/model` is a
checkpoint that speaks like slt; all else that it does is nano's.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
from timbre import nearer, timbre
from tqdm import tqdm

from ar_omni import AROmni, Audio
from ar_omni.evaluation.judges import Recogniser, word_errors
from ar_omni.training.arguments import one_line_errors
from ar_omni.training.world.sentences import sentences
from ar_omni.training.world.voices import SAMPLE_RATE, VOICES

TRAIN = Path(__file__).parents[2] / "train"


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work-dir", type=Path, default=Path("runs/new_voice"))
    parser.add_argument("--model", help="a checkpoint folder (default: the bundled nano)")
    parser.add_argument("--voice", choices=VOICES, default="slt")
    parser.add_argument("--minutes", type=float, default=30, help="of speech to learn from")
    parser.add_argument("--steps", type=int, help="default: that of train/voice.py")
    parser.add_argument("--sentences", type=int, default=100, help="to measure with, never learned")
    args = parser.parse_args()
    folder = args.work_dir / f"{args.voice}-{args.minutes:g}-minutes"
    clips = record(folder / "recordings", args.voice, args.minutes)
    texts = list(islice(sentences(seed=1, held_out=True), args.sentences))
    old = measure(AROmni.from_pretrained(args.model), texts)
    new = np.array([timbre(Audio.load(path)) for path in clips[:50]])
    print("before:", json.dumps(summary(old, old, new)))
    command = [sys.executable, TRAIN / "voice.py", "--work-dir", folder]
    command += ["--recordings", f"{folder}/recordings/*.wav"]
    command += ["--model", args.model] if args.model else []
    command += ["--steps", args.steps] if args.steps else []
    subprocess.run([*map(str, command)], check=True)
    taught = AROmni.from_pretrained(folder / "model")
    print("after:", json.dumps(summary(measure(taught, texts), old, new)))


def record(folder: Path, voice: str, minutes: float) -> list[Path]:
    """Wav files of sentences as the voice says them; a folder that is there already is complete."""
    if not folder.exists():
        partial = folder.with_name("partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        speaker, texts, said = VOICES[voice](), enumerate(sentences(seed=2)), 0.0
        with tqdm(total=minutes, unit="min", desc=voice) as bar:
            while said < 60 * minutes:
                number, text = next(texts)
                audio = Audio(speaker.say(text).samples / np.float32(32768), SAMPLE_RATE)
                audio.save(partial / f"{number:05d}.wav")
                said += audio.duration
                bar.update(min(said / 60, minutes) - bar.n)
        partial.rename(folder)
    return sorted(folder.glob("*.wav"))


def measure(omni: AROmni, texts: list[str]) -> dict[str, np.ndarray]:
    """What the model's reading of each text is like: its timbre, wrong words, words."""
    hear, readings, counts = Recogniser(), [], []
    for text in tqdm(texts, desc="measure"):
        audio = omni.speak(text, seed=0)
        readings.append(timbre(audio))
        counts.append(word_errors(text, hear(audio) if audio.duration else ""))
    errors, words = np.array(counts).T
    return {"timbre": np.array(readings), "errors": errors, "words": words}


def summary(found: dict[str, np.ndarray], old: dict[str, np.ndarray], new: np.ndarray) -> dict[str, float]:
    """Word error rate, and the shares of readings, and of recordings of the new voice that the comparison did
    not begin with, that sound more like the new voice than like the old."""
    known, others = new[::2], new[1::2]
    return {
        "WER": round(float(found["errors"].sum() / found["words"].sum()), 3),
        "like the new voice": round(nearer(found["timbre"], old["timbre"], known), 3),
        "recordings like the new voice": round(nearer(others, old["timbre"], known), 3),
    }


if __name__ == "__main__":
    main()
