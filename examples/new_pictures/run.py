"""Teaches nano to draw and to name 30 flags that it has never seen, and measures it before and after.

    python examples/new_pictures/run.py

The adapter is written to `runs/new_pictures/adapter`; `omni.adapters.load` uses it beside what nano knows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from flags import flags
from PIL import Image

from ar_omni import AROmni

HERE = Path(__file__).parent
TRAIN = HERE.parents[1] / "train"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work-dir", type=Path, default=Path("runs/new_pictures"))
    parser.add_argument("--model", help="a checkpoint folder (default: the bundled nano)")
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--steps", type=int, default=500)
    args = parser.parse_args()
    pictures = flags(args.count)
    source = write_data(args.work_dir, pictures)
    model = ["--model", args.model] if args.model else []
    shards = args.work_dir / "shards"
    call("tokenize_data.py", source, "--out", shards, *model)
    changes = [f"data.flags.shards={shards}/*.parquet", f"loop.steps={args.steps}"]
    changes += [f"model={args.model}"] if args.model else []
    omni = AROmni.from_pretrained(args.model)
    print("before:", json.dumps(measure(omni, pictures)))
    call("lora.py", "--recipe", HERE / "recipe.yaml", "--work-dir", args.work_dir, "--set", *changes)
    omni.adapters.load(args.work_dir / "adapter")
    print("after:", json.dumps(measure(omni, pictures)))


def write_data(folder: Path, pictures: dict[str, Image.Image]) -> Path:
    """The pictures as png, and a jsonl file that has each of them drawn and named."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, picture in pictures.items():
        picture.save(folder / f"{name}.png")
        part = [{"type": "image", "image": f"{name}.png"}]
        for task, user, reply in (("draw", phrase(name), part), ("describe", part, phrase(name))):
            turns = [{"role": "user", "content": user}, {"role": "assistant", "content": reply}]
            lines.append(json.dumps({"task": task, "messages": turns}))
    path = folder / "flags.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def measure(omni: AROmni, pictures: dict[str, Image.Image]) -> dict[str, float]:
    """Shares of the flags that are drawn more like themselves than like any other, and named rightly."""
    names = list(pictures)
    originals = np.stack([np.asarray(pictures[name], dtype=np.float32) for name in names])
    drawn = named = 0
    for index, name in enumerate(names):
        image = omni.draw(phrase(name), seed=0).resize(pictures[name].size)
        distances = ((originals - np.asarray(image, dtype=np.float32)) ** 2).mean((1, 2, 3))
        drawn += int(distances.argmin()) == index
        named += omni.describe(pictures[name]).strip() == phrase(name)
    return {"drawn": round(drawn / len(names), 3), "named": round(named / len(names), 3)}


def phrase(name: str) -> str:
    return f"the flag of {name}"


def call(script: str, *arguments: object) -> None:
    subprocess.run([sys.executable, TRAIN / script, *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
