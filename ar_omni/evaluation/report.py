"""A report: what was run with which settings, and every figure; as json, as plain text, as Markdown."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path

from ar_omni.errors import DependencyError
from ar_omni.evaluation.figures import Figure
from ar_omni.evaluation.targets import TARGETS, Target
from ar_omni.media import replacing

_JUDGES = ("faster-whisper", "jiwer", "whisper-normalizer", "speechmos", "piper-tts")
_VERSIONS = ("ar-omni", "torch", "transformers", *_JUDGES)


def new_report(model: str, seed: int, limit: int | None, presets: dict) -> dict:
    """An empty report with everything that a reader needs to run it again.

    Raises:
        DependencyError: a judge is not installed.
    """
    return {
        "model": model,
        "seed": seed,
        "limit": limit,
        "presets": presets,
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _VERSIONS},
        "suites": {},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError as error:
        raise DependencyError(
            f"expected the package {name!r}, got none; install it with: pip install 'ar-omni[eval]'"
        ) from error


def table(report: dict) -> list[tuple[str, str, Figure]]:
    """(suite, figure's title, figure) of each line."""
    return [
        (suite, title, Figure(**figure))
        for suite, result in report["suites"].items()
        for title, figure in result["figures"].items()
    ]


HEAD = ("suite", "figure", "value [95 % interval]", "must", "aim", "reached", "items")


def lines(report: dict) -> list[tuple[str, ...]]:
    """The cells of each figure's line, under `HEAD`; figures without a target leave three of them empty."""
    return [
        (suite, title, str(figure), *_goal(TARGETS.get((suite, title)), figure), str(figure.items))
        for suite, title, figure in table(report)
    ]


def _goal(target: Target | None, figure: Figure) -> tuple[str, str, str]:
    if target is None:
        return "", "", ""
    sign = "≤" if figure.better == "lower" else "≥"
    must, aim = ("" if value is None else f"{sign} {value:g}" for value in (target.must, target.aim))
    return must, aim, target.reached(figure)


def plain(report: dict) -> str:
    """Aligned columns for a terminal."""
    rows = [HEAD, *lines(report)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def markdown(report: dict) -> str:
    """The same as a Markdown table, for MODEL_CARD.md."""
    rows = [HEAD, ("---",) * len(HEAD), *lines(report)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write(report: dict, path: str | PathLike) -> None:
    """Write the report as json, whole or not at all."""
    with replacing(Path(path)) as temporary:
        temporary.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read(path: str | PathLike) -> dict:
    """A report that `write` wrote."""
    return json.loads(Path(path).read_text(encoding="utf-8"))
