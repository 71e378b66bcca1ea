"""How good the bundled model must stay (`data/quality.json`): what it reaches on a few items, less slack.

python tests/quality.py     # measure and write that file: once for each new model
"""

from __future__ import annotations

import json
from pathlib import Path

from ar_omni import AROmni
from ar_omni.evaluation.report import table
from ar_omni.evaluation.run import evaluate
from ar_omni.evaluation.targets import TARGETS

ITEMS = 6
"""Of each kind; they are the first of the held-out set."""
SLACK = {"%": 20.0, "dB": 1.0, "MOS": 0.3}
"""Unit -> how much worse a figure may be: about one item of six, for machines that round differently."""
LIMITS = Path(__file__).parent / "data" / "quality.json"


def measure() -> dict:
    """A report on a few items of every suite."""
    return evaluate(AROmni.from_pretrained(), limit=ITEMS, progress=False)


def limits(report: dict) -> dict[str, dict[str, float]]:
    """Suite -> figure -> the worst value that passes, for all figures with a target."""
    found: dict[str, dict[str, float]] = {}
    for suite, title, figure in table(report):
        if (suite, title) in TARGETS:
            slack = SLACK[figure.unit] * (1 if figure.better == "lower" else -1)
            found.setdefault(suite, {})[title] = round(figure.value + slack, 2)
    return found


def worse(report: dict, allowed: dict[str, dict[str, float]]) -> list[str]:
    """A line for each figure of `report` that is beyond its limit; figures without a limit pass."""
    lines = []
    for suite, title, figure in table(report):
        limit = allowed.get(suite, {}).get(title)
        sign = 1 if figure.better == "lower" else -1
        if limit is not None and sign * figure.value > sign * limit:
            lines.append(f"{suite}: {title} is {figure}, allowed {'up to' if sign > 0 else 'from'} {limit:g}")
    return lines


def main() -> None:
    LIMITS.write_text(json.dumps(limits(measure()), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
