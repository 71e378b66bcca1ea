"""Drawing and describing."""

from __future__ import annotations

from collections.abc import Sequence

from ar_omni.evaluation.bench import Bench, Result, Row
from ar_omni.evaluation.figures import Figure, ratio
from ar_omni.evaluation.judges import mentions, named, nearest

SPLITS = {"trained on": True, "never trained on": False}


def draw(bench: Bench) -> Result:
    """Draws concepts in styles; the nearest picture of the gallery says what was drawn."""
    rows: list[Row] = []
    for pair in bench.each(bench.held_out.pairs, "draw"):
        image = bench.omni.generate(pair.prompt, outputs=("image",), task="draw", seed=bench.seed).image
        name, style = nearest(image, bench.held_out.gallery)
        row = {"prompt": pair.prompt, "seen": pair.seen, "nearest": f"{name} ({style})"}
        row |= {"right": name == pair.name, "style_right": style == pair.style}
        reference = bench.held_out.pictures[pair.name, pair.style]
        rows.append(row | bench.keep("draw", len(rows), reference=reference, image=image))
    return {
        **_by_split(rows, "right", "right concept"),
        **_by_split(rows, "style_right", "right style"),
    }, rows


def describe(bench: Bench) -> Result:
    """Names pictures; right if the longest name in the answer is the concept's, as whole words."""
    rows: list[Row] = []
    for pair in bench.each(bench.held_out.pairs, "describe"):
        picture = bench.held_out.pictures[pair.name, pair.style]
        text = bench.omni.describe(picture)
        row = {"name": pair.name, "style": pair.style, "seen": pair.seen, "text": text}
        row |= {"right": named(text, bench.held_out.gallery.names) == pair.name}
        row |= {"style_right": mentions(text, pair.style), "group_right": mentions(text, pair.group)}
        rows.append(row | bench.keep("describe", len(rows), reference=picture))
    return {
        **_by_split(rows, "right", "right name"),
        **_by_split(rows, "style_right", "right style"),
        **_by_split(rows, "group_right", "right group"),
    }, rows


def _by_split(rows: Sequence[Row], key: str, title: str) -> dict[str, Figure]:
    """The share of hits among pairs trained on, and among those never trained on."""
    picked = {name: [row[key] for row in rows if row["seen"] is seen] for name, seen in SPLITS.items()}
    return {f"{title}, {name}": ratio(hits, better="higher") for name, hits in picked.items() if hits}
