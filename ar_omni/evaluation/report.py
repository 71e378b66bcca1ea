"""A report: what was run with which settings, and every figure; as json, as plain text, as Markdown."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from os import PathLike
from pathlib import Path

from ar_omni.evaluation.figures import Figure
from ar_omni.media import replacing

_VERSIONS = ("ar-omni", "torch", "transformers", "faster-whisper", "jiwer", "whisper-normalizer", "piper-tts")


def new_report(model: str, seed: int, limit: int | None, presets: dict) -> dict:
    """An empty report with everything that a reader needs to run it again."""
    return {
        "model": model,
        "seed": seed,
        "limit": limit,
        "presets": presets,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _VERSIONS},
        "suites": {},
    }


def table(report: dict) -> list[tuple[str, str, Figure]]:
    """(suite, figure's title, figure) of each line."""
    return [
        (suite, title, Figure(**figure))
        for suite, result in report["suites"].items()
        for title, figure in result["figures"].items()
    ]


def plain(report: dict) -> str:
    """Aligned columns for a terminal."""
    lines = [("suite", "figure", "value [95 % interval]", "items")]
    lines += [(suite, title, str(figure), str(figure.items)) for suite, title, figure in table(report)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def markdown(report: dict) -> str:
    """The same as a Markdown table, for MODEL_CARD.md."""
    head = ["| suite | figure | value [95 % interval] | better | items |", "|---|---|---|---|---|"]
    return "\n".join(
        head + [f"| {suite} | {title} | {f} | {f.better} | {f.items} |" for suite, title, f in table(report)]
    )


def write(report: dict, path: str | PathLike) -> None:
    """Write the report as json, whole or not at all."""
    with replacing(Path(path)) as temporary:
        temporary.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read(path: str | PathLike) -> dict:
    """A report that `write` wrote."""
    return json.loads(Path(path).read_text(encoding="utf-8"))
