"""Many pictures in one: a grid of equal tiles, and a contact sheet to look at."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ar_omni.media import load_image, replacing

if TYPE_CHECKING:
    from PIL.Image import Image

COLUMNS = 64
CAPTION = 14
"""Height of a caption on a contact sheet, in pixels."""


def tiles(sheet: Image, size: int, count: int) -> list[Image]:
    """The first `count` tiles of `size` pixels a side, row by row."""
    columns = sheet.width // size
    corners = [(i % columns * size, i // columns * size) for i in range(count)]
    return [sheet.crop((x, y, x + size, y + size)) for x, y in corners]


def save_sheet(pictures: Sequence[Image], size: int, path: str | os.PathLike, **options) -> None:
    """Write `pictures`, averaged to `size` pixels a side, as one webp file; `options` are Pillow's for it."""
    from PIL import Image

    columns = min(COLUMNS, len(pictures)) or 1
    sheet = Image.new("RGB", (columns * size, -(-len(pictures) // columns) * size or size), "white")
    for i, picture in enumerate(pictures):
        small = load_image(picture).resize((size, size), Image.Resampling.BOX)
        sheet.paste(small, (i % columns * size, i // columns * size))
    with replacing(path) as temporary:
        sheet.save(temporary, "WEBP", **options)


def save_contact_sheet(
    drawn: Sequence[tuple[str, Path, Path, bool]], size: int, path: str | os.PathLike, columns: int = 8
) -> None:
    """Write each reference beside what was drawn, with a caption, green where it is right.

    Args:
        drawn: (caption, file of the reference, file of the drawn picture, whether it is right).
        size: side of a picture, in pixels.
        path: a png file.
        columns: how many pairs a row.
    """
    from PIL import Image, ImageDraw

    width, height = 2 * size + 8, size + CAPTION
    sheet = Image.new("RGB", (columns * width, -(-len(drawn) // columns) * height), "white")
    pen = ImageDraw.Draw(sheet)
    for i, (caption, reference, picture, right) in enumerate(drawn):
        x, y = i % columns * width, i // columns * height
        for offset, file in ((0, reference), (size, picture)):
            sheet.paste(load_image(file).resize((size, size)), (x + offset, y + CAPTION))
        pen.text((x + 2, y), caption, fill="green" if right else "red")
    with replacing(path) as temporary:
        sheet.save(temporary, "PNG")
