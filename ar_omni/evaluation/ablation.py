"""Ablations: which runs to compare, what is noted of each, and a table with intervals over seeds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from ar_omni.errors import InputError
from ar_omni.media import replacing

STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""The 97.5 % quantile of Student's distribution, by degrees of freedom from 1; two seeds have one."""
NORMAL = 1.96


@dataclass(frozen=True)
class Ablation:
    """What is compared: all others differ in one thing from the first variant and the first decoding.

    Attributes:
        recipe: a pretraining recipe.
        changes: of the recipe in all trainings, as `load_recipe` takes them.
        variants: name -> further changes; each is trained with each seed.
        decodings: name -> changes of every preset, as `Options.override` takes them; the first variant's
            models are measured with each, the others' with the first.
        figures: title of a column -> a figure of `ar_omni.evaluation.probes.probe`.
        seeds: at least two, for the intervals.
    """

    recipe: str
    variants: Mapping[str, Sequence[str]]
    decodings: Mapping[str, Mapping[str, Any]]
    figures: Mapping[str, str]
    changes: Sequence[str] = ()
    seeds: Sequence[int] = (0, 1, 2)

    def __post_init__(self) -> None:
        if len(self.seeds) < 2 or not self.variants or not self.decodings or not self.figures:
            raise InputError("expected variants, decodings, figures and two seeds or more, got too few")

    def changed(self, variant: str) -> list[str]:
        """All changes of the recipe for a variant."""
        return [*self.changes, *self.variants[variant]]

    def runs(self) -> Iterator[tuple[str, int, Sequence[str]]]:
        """(variant, seed, decodings to measure it with), seed by seed: any first part compares fairly."""
        for seed in self.seeds:
            for number, variant in enumerate(self.variants):
                yield variant, seed, tuple(self.decodings)[: None if number == 0 else 1]

    def pick(self, found: Mapping[str, float]) -> dict[str, float]:
        """The columns' values among what was measured."""
        for name in self.figures.values():
            if name not in found:
                raise InputError(f"expected a figure of {', '.join(found)}, got {name!r}")
        return {title: found[name] for title, name in self.figures.items()}


class Notes:
    """A jsonl file with a line a measured run; what is noted is not run again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self, **wanted: Any) -> list[dict]:
        """What is noted of the runs with these values; a line that was cut off is left out."""
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True) if self.path.exists() else []
        rows = [json.loads(line) for line in lines if line.endswith("\n")]
        return [row for row in rows if wanted.items() <= row.items()]

    def add(self, run: Mapping[str, Any]) -> None:
        lines = [json.dumps(row) + "\n" for row in [*self.rows(), run]]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")


def interval(values: Sequence[float], digits: int = 1) -> str:
    """The mean and its 95 % interval by Student's distribution: "12.3 ± 1.1"; of one value, itself."""
    if len(values) < 2:
        return f"{values[0]:.{digits}f}"
    quantile = STUDENT[len(values) - 2] if len(values) - 2 < len(STUDENT) else NORMAL
    return f"{mean(values):.{digits}f} ± {quantile * stdev(values) / len(values) ** 0.5:.{digits}f}"


def table(ablation: Ablation, rows: Iterable[Mapping[str, Any]]) -> str:
    """Markdown: each variant and decoding, and how it differs from the first one, seed by seed."""
    found: dict[tuple[str, str], dict[int, Mapping[str, float]]] = {}
    for row in rows:
        if row["seed"] in ablation.seeds:
            found.setdefault((row["variant"], row["decoding"]), {})[row["seed"]] = row["figures"]
    first, usual = next(iter(ablation.variants)), next(iter(ablation.decodings))
    base = found.get((first, usual), {})
    lines = [
        "Mean ± half of the 95 % interval over seeds; in brackets the mean difference from the first row "
        "over the same seeds, with its interval.",
        "",
        f"| training | decoding | seeds | {' | '.join(ablation.figures)} |",
        "|---|---|---|" + "---|" * len(ablation.figures),
    ]
    wanted = [(first, decoding) for decoding in ablation.decodings]
    wanted += [(variant, usual) for variant in ablation.variants if variant != first]
    for key in wanted:
        seeds = found.get(key, {})
        cells = [_cell(title, seeds, base, key == (first, usual)) for title in ablation.figures]
        lines.append(f"| {' | '.join(key)} | {len(seeds)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(
    title: str, seeds: Mapping[int, Mapping[str, float]], base: Mapping[int, Mapping[str, float]], first: bool
) -> str:
    if not seeds:
        return "-"
    digits = 1 if "%" in title else 3
    cell = interval([figures[title] for figures in seeds.values()], digits)
    shared = [seed for seed in seeds if seed in base]
    if first or not shared:
        return cell
    return f"{cell} ({interval([seeds[seed][title] - base[seed][title] for seed in shared], digits)})"
