"""How pictures come that people show: moved, turned, smaller, in other colours, or by another artist.

Each picture that nano draws has one sequence of codes, which it would soon know by heart. What it is shown
has to be known by what it looks like.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from ar_omni.training.world.dialogues import trained_styles
from ar_omni.training.world.pictures import OTHER_ARTIST, STYLES, Concept, Pictures

COPIES = 36
"""Views of each thing, its styles in turn."""
ARTISTS = (*STYLES, OTHER_ARTIST)
Colour = tuple[int, int, int]
WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Views:
    """Tokenized views of each concept.

    Attributes:
        codes: int16 (concepts, `COPIES`, codes).
        artists: int8 (concepts, `COPIES`), places in `ARTISTS`; never one that the concept is held out of.
    """

    codes: np.ndarray
    artists: np.ndarray

    @classmethod
    def load(cls, path: Path, numbers: Sequence[int]) -> Views:
        """Those of the concepts with these numbers."""
        with np.load(path, allow_pickle=False) as data:
            return cls(data["codes"][numbers], data["artists"][numbers])

    def save(self, path: Path) -> None:
        """Writes the file atomically."""
        partial = path.with_suffix(".partial.npz")
        np.savez_compressed(partial, codes=self.codes.astype(np.int16), artists=self.artists.astype(np.int8))
        partial.rename(path)

    def of(self, index: int, artist: str | None, rng: random.Random) -> np.ndarray:
        """The codes of a view of a concept, by any artist if none is named."""
        own = self.artists[index]
        places = range(len(own)) if artist is None else np.flatnonzero(own == ARTISTS.index(artist))
        return self.codes[index, rng.choice(places)]


def views(source: Pictures, concept: Concept, size: int) -> Iterator[tuple[str, Image.Image]]:
    """(artist, picture) of each of a concept's `COPIES` views, the same ones at each call."""
    rng = random.Random(concept.name)
    artists = [*trained_styles(concept), *([OTHER_ARTIST] if source.has(concept, OTHER_ARTIST) else [])]
    cutouts = {artist: source.cutout(concept, artist, size) for artist in artists}
    for place in range(COPIES):
        artist = artists[place % len(artists)]
        yield artist, view(cutouts[artist], rng)


def view(cutout: Image.Image, rng: random.Random, ground: Colour | None = None) -> Image.Image:
    """A square RGBA picture as it might be shown: RGB, of the same size; on any ground if none is given."""
    size = cutout.width
    scale, angle = rng.uniform(0.65, 1.1), rng.gauss(0, 6)
    moved = [rng.uniform(-0.08, 0.08) * size for _ in range(2)]
    side = round(size * scale)
    small = cutout.rotate(angle, Image.Resampling.BICUBIC).resize((side, side), Image.Resampling.LANCZOS)
    canvas = Image.new("RGBA", (size, size), ground or _ground(rng))
    layer = Image.new("RGBA", (size, size))
    layer.paste(small, [round((size - side) / 2 + by) for by in moved])
    canvas.alpha_composite(layer)
    picture = canvas.convert("RGB")
    for change, reach in (
        (ImageEnhance.Color, 0.35),
        (ImageEnhance.Brightness, 0.15),
        (ImageEnhance.Contrast, 0.2),
    ):
        picture = change(picture).enhance(rng.uniform(1 - reach, 1 + reach))
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1))) if rng.random() < 0.2 else picture


def _ground(rng: random.Random) -> Colour:
    """White, mostly; else a light or a dark colour."""
    chance = rng.random()
    low, high = (255, 255) if chance < 0.7 else (200, 250) if chance < 0.85 else (0, 70)
    return tuple(rng.randint(low, high) for _ in range(3))
