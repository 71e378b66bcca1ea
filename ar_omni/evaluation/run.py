"""Run suites on a loaded model and collect the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ar_omni.errors import InputError
from ar_omni.evaluation.bench import Bench
from ar_omni.evaluation.heldout import HeldOut
from ar_omni.evaluation.judges import Rater, Recogniser
from ar_omni.evaluation.report import new_report
from ar_omni.evaluation.suites import SUITES
from ar_omni.evaluation.voice import Reader

if TYPE_CHECKING:
    from ar_omni.omni import AROmni


def evaluate(
    omni: AROmni,
    suites: Sequence[str] = tuple(SUITES),
    *,
    name: str = "nano",
    held_out: HeldOut | None = None,
    limit: int | None = None,
    seed: int = 0,
    progress: bool = True,
    folder: Path | None = None,
) -> dict:
    """Measure `omni` on held-out items.

    Args:
        omni: the loaded model.
        suites: names from `SUITES`.
        name: what the report calls the model.
        held_out: the items; the set that ships with the package if left out.
        limit: at most this many items of a kind.
        seed: of generation.
        progress: draw progress bars on stderr.
        folder: where to keep what the model said and drew; the report's rows name the files.

    Returns:
        A report: `{"suites": {name: {"figures": {title: {...}}, "items": [...]}}, ...}`, plain json values.

    Raises:
        InputError: an unknown suite, or a held-out set without items for it.
        DependencyError: the extra `[eval]` is not installed.
    """
    unknown = set(suites) - set(SUITES)
    if unknown:
        raise InputError(f"expected suites out of {', '.join(SUITES)}, got {', '.join(sorted(unknown))}")
    held_out = held_out or HeldOut()
    bench = Bench(omni, held_out, Recogniser(), Rater(), Reader(), limit, seed, progress, folder)
    presets = {task: asdict(options) for task, options in omni.presets.items()}
    report = new_report(name, seed, limit, presets)
    for suite in suites:
        figures, rows = SUITES[suite](bench)
        figures = {title: figure.to_dict() for title, figure in figures.items()}
        report["suites"][suite] = {"figures": figures, "items": rows}
    return report
