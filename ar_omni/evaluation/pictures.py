"""Drawing and describing."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ar_omni.evaluation.bench import Bench, Result, Row
from ar_omni.evaluation.figures import Figure, ratio
from ar_omni.evaluation.heldout import Pair
from ar_omni.evaluation.judges import mentions, named, nearest
from ar_omni.training.world.views import WHITE, view

if TYPE_CHECKING:
    from PIL.Image import Image

SPLITS = {True: "trained on", False: "never trained on"}
VIEW = "another view"
"""The thing and the style are known, but not the picture: it is moved, turned, smaller or tinted anew."""


def draw(bench: Bench) -> Result:
    """Draws concepts in styles; the nearest picture of the gallery says what was drawn."""
    rows: list[Row] = []
    for pair in bench.each(bench.held_out.pairs, "draw"):
        image = bench.omni.generate(pair.prompt, outputs=("image",), task="draw", seed=bench.seed).image
        name, style = nearest(image, bench.held_out.gallery)
        row = {"prompt": pair.prompt, "split": SPLITS[pair.seen], "nearest": f"{name} ({style})"}
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
    for pair, split, picture in _shown(bench):
        text = bench.omni.describe(picture)
        row = {"name": pair.name, "style": pair.style, "split": split, "text": text}
        row |= {"right": named(text, bench.held_out.gallery.names) == pair.name}
        row |= {"style_right": mentions(text, pair.style), "group_right": mentions(text, pair.group)}
        rows.append(row | bench.keep("describe", len(rows), reference=picture))
    return {
        **_by_split(rows, "right", "right name"),
        **_by_split(rows, "style_right", "right style"),
        **_by_split(rows, "group_right", "right group"),
    }, rows


def _shown(bench: Bench) -> Iterator[tuple[Pair, str, Image]]:
    """(what it shows, its split, picture): every pair as it is drawn, and views of those trained on."""
    pairs, pictures = bench.held_out.pairs, bench.held_out.pictures
    for pair in bench.each(pairs, "describe"):
        yield pair, SPLITS[pair.seen], pictures[pair.name, pair.style]
    rng = random.Random(bench.seed)
    for pair in bench.each([pair for pair in pairs if pair.seen], f"describe: {VIEW}"):
        yield pair, VIEW, view(pictures[pair.name, pair.style].convert("RGBA"), rng, WHITE)


def _by_split(rows: Sequence[Row], key: str, title: str) -> dict[str, Figure]:
    """The share of hits in each split that has items."""
    picked: dict[str, list[bool]] = {}
    for row in rows:
        picked.setdefault(row["split"], []).append(row[key])
    splits = [split for split in (*SPLITS.values(), VIEW) if split in picked]
    return {f"{title}, {split}": ratio(picked[split], better="higher") for split in splits}
