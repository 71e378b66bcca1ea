"""Write measured things into README and MODEL_CARD: the demo's output, the evaluation, sizes, training.

ar-omni evaluate --out docs/evaluation.json     # measure, when the model has changed
python docs/refresh.py                          # or: make pages
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from math import prod
from pathlib import Path

from ar_omni.evaluation import report
from ar_omni.media import replacing

DOCS = Path(__file__).parent
ROOT = DOCS.parent
NANO = ROOT / "ar_omni" / "assets" / "nano"
PAGES = (ROOT / "README.md", ROOT / "MODEL_CARD.md")

_CONFIG_ROWS = {
    "decoder layers": "num_hidden_layers",
    "hidden size": "hidden_size",
    "attention heads": "num_attention_heads",
    "key/value heads": "num_key_value_heads",
    "feed-forward size": "intermediate_size",
    "vocabulary": "vocab_size",
    "context": "max_position_embeddings",
}


def blocks() -> dict[str, str]:
    """The generated text of each block that does not need the model to run."""
    training = json.loads((DOCS / "training.json").read_text(encoding="utf-8"))
    return {
        "figures": report.markdown(report.read(DOCS / "evaluation.json")),
        "shape": _rows(shape()),
        "training": _rows(training.items()),
    }


def _rows(pairs: Iterable[tuple[str, object]]) -> str:
    return "\n".join(["| | |", "|---|---|"] + [f"| {title} | {value} |" for title, value in pairs])


def shape() -> list[tuple[str, str]]:
    """Sizes of the bundled checkpoint, read from its files."""
    from safetensors import safe_open

    config = json.loads((NANO / "config.json").read_text(encoding="utf-8"))
    rows = [(title, f"{config[key]:,}") for title, key in _CONFIG_ROWS.items()]
    for path in sorted(NANO.rglob("*.safetensors")):
        with safe_open(path, "np") as tensors:
            count = sum(prod(tensors.get_slice(key).get_shape()) for key in tensors.keys())  # noqa: SIM118
        place = path.relative_to(NANO).as_posix()
        rows.append((f"`{place}`", f"{count / 1e6:.1f} M parameters, {path.stat().st_size / 1e6:.1f} MB"))
    return rows


def demo() -> str:
    """Run the demo in a folder of its own; keep its picture beside the pages and return what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ar_omni.cli", "demo"]
        printed = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
        for name, kept in (("picture.png", "demo.png"), ("reply.wav", "demo.wav")):
            shutil.copyfile(Path(folder) / "ar-omni-demo" / name, DOCS / kept)
    lines = [line.rsplit("\r", 1)[-1] for line in printed.split("\n")]
    text = "\n".join(lines).strip().replace(str(ROOT) + "/", "")
    return f"```text\n$ ar-omni demo\n{text}\n```\n\n![The picture that the demo drew](docs/demo.png)"


def fill(page: str, found: dict[str, str]) -> str:
    """`page` with what lies between `<!-- NAME:begin -->` and `<!-- NAME:end -->` replaced."""
    for name, text in found.items():
        marks = re.escape(f"<!-- {name}:begin -->"), re.escape(f"<!-- {name}:end -->")
        page = re.sub(
            f"({marks[0]}\n).*?({marks[1]})", lambda m, t=text: f"{m[1]}{t}\n{m[2]}", page, flags=re.S
        )
    return page


def main() -> None:
    found = {**blocks(), "demo": demo()}
    for path in PAGES:
        with replacing(path) as temporary:
            temporary.write_text(fill(path.read_text(encoding="utf-8"), found), encoding="utf-8")


if __name__ == "__main__":
    main()
