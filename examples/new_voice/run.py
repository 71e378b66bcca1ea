"""Teaches nano to speak with a second voice, flite's slt, from half an hour of speech, and measures both.

    python examples/new_voice/run.py

Needs Debian's flite and the extras `[train]` and `[eval]`. With the adapter in `runs/new_voice/adapter` nano
speaks like slt, without it like before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
from timbre import nearer, timbre
from tqdm import tqdm

from ar_omni import AROmni, Audio
from ar_omni.errors import InputError
from ar_omni.evaluation.judges import Recogniser, word_errors
from ar_omni.training.arguments import one_line_errors
from ar_omni.training.world.sentences import sentences
from ar_omni.training.world.voices import SAMPLE_RATE, VOICES

HERE = Path(__file__).parent
TRAIN = HERE.parents[1] / "train"


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work-dir", type=Path, default=Path("runs/new_voice"))
    parser.add_argument("--model", help="a checkpoint folder (default: the bundled nano)")
    parser.add_argument("--voice", choices=VOICES, default="slt")
    parser.add_argument("--minutes", type=float, default=30, help="of speech to learn from")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--sentences", type=int, default=30, help="to measure with, never learned")
    args = parser.parse_args()
    source = record(args.work_dir, args.voice, args.minutes)
    shards, model = args.work_dir / "shards", ["--model", args.model] if args.model else []
    call("tokenize_data.py", source, "--out", shards, *model)
    omni = AROmni.from_pretrained(args.model)
    texts = list(islice(sentences(seed=1, held_out=True), args.sentences))
    old = measure(omni, texts)
    clips = sorted(args.work_dir.glob("clips/*.wav"))[:50]
    new = np.array([timbre(Audio.load(path)) for path in clips])
    print("before:", json.dumps(summary(old, old, new)))
    changes = [f"data.voice.shards={shards}/*.parquet", f"loop.steps={args.steps}"]
    changes += [f"model={args.model}"] if args.model else []
    call("lora.py", "--recipe", HERE / "recipe.yaml", "--work-dir", args.work_dir, "--set", *changes)
    omni.adapters.load(args.work_dir / "adapter")
    print("after:", json.dumps(summary(measure(omni, texts), old, new)))


def record(folder: Path, voice: str, minutes: float) -> Path:
    """Sentences as the voice says them, in wav files, and the jsonl that has each of them read aloud."""
    source = folder / f"{voice}-{minutes:g}-minutes.jsonl"
    if source.exists():
        return source
    if others := sorted(folder.glob("*.jsonl")):
        raise InputError(
            f"expected a folder for {source.stem}, got one with {others[0].name}: try another --work-dir"
        )
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    speaker, said, lines = VOICES[voice](), 0.0, []
    texts = sentences(seed=2)
    with tqdm(total=minutes, unit="min", desc=voice) as bar:
        while said < 60 * minutes:
            text, name = next(texts), f"clips/{len(lines):05d}.wav"
            audio = Audio(speaker.say(text).samples / np.float32(32768), SAMPLE_RATE)
            audio.save(folder / name)
            said += audio.duration
            bar.update(audio.duration / 60)
            reply = [{"type": "audio", "audio": name}]
            turns = [{"role": "user", "content": text}, {"role": "assistant", "content": reply}]
            lines.append(json.dumps({"task": "speak", "messages": turns}))
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return source


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


def call(script: str, *arguments: object) -> None:
    subprocess.run([sys.executable, TRAIN / script, *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
