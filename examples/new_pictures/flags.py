"""Pictures that no model has seen: flags of lands that do not exist."""

from __future__ import annotations

import random

from PIL import Image, ImageDraw

SIZE = 96
COLOURS = ("crimson", "gold", "navy", "white", "seagreen", "black", "darkorange", "skyblue")


def flags(count: int, seed: int = 0) -> dict[str, Image.Image]:
    """Name of a land -> its flag; no two flags are alike."""
    rng = random.Random(seed)
    designs = [
        (layout, *rng.sample(COLOURS, 3)) for layout in LAYOUTS for _ in range(-(-count // len(LAYOUTS)))
    ]
    rng.shuffle(designs)
    found: dict[str, Image.Image] = {}
    while len(found) < count:
        found.setdefault(_name(rng), _draw(*designs[len(found)]))
    return found


def _name(rng: random.Random) -> str:
    return "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(3)) + rng.choice("nrs")


def _draw(layout: str, field: str, second: str, third: str) -> Image.Image:
    image = Image.new("RGB", (SIZE, SIZE), "white")
    canvas = ImageDraw.Draw(image)
    for colour, kind, shape in LAYOUTS[layout]:
        fill = (field, second, third)[colour]
        points = [value * SIZE / 12 for value in shape]
        getattr(canvas, kind)(points, fill=fill)
    return image


LAYOUTS = {
    "upright": [
        (0, "rectangle", (0, 2, 4, 10)),
        (1, "rectangle", (4, 2, 8, 10)),
        (2, "rectangle", (8, 2, 12, 10)),
    ],
    "level": [
        (0, "rectangle", (0, 1, 12, 4)),
        (1, "rectangle", (0, 4, 12, 8)),
        (2, "rectangle", (0, 8, 12, 11)),
    ],
    "disc": [(0, "rectangle", (0, 2, 12, 10)), (1, "ellipse", (3, 3, 9, 9)), (2, "ellipse", (5, 5, 7, 7))],
    "cross": [
        (0, "rectangle", (0, 2, 12, 10)),
        (1, "rectangle", (3, 2, 5, 10)),
        (1, "rectangle", (0, 5, 12, 7)),
    ],
    "wedge": [
        (0, "rectangle", (0, 2, 12, 6)),
        (1, "rectangle", (0, 6, 12, 10)),
        (2, "polygon", (0, 2, 6, 6, 0, 10)),
    ],
    "slant": [
        (0, "rectangle", (0, 2, 12, 10)),
        (1, "polygon", (0, 2, 12, 2, 0, 10)),
        (2, "ellipse", (1, 3, 4, 6)),
    ],
}
"""Shapes of a flag, on a grid of 12: (which colour, kind, corners)."""
