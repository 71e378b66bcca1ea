"""How pictures come that people show: moved, turned, smaller, in other colours, or by another artist.

What nano draws of a thing is one picture in each style. What it is shown has to be known by its looks.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from tqdm import tqdm

from ar_omni.media import replacing
from ar_omni.training.world.dialogues import trained_styles
from ar_omni.training.world.pictures import ARTISTS, STYLES, Concept, Pictures

COPIES = 48
"""Views of each thing, its artists in turn."""
Colour = tuple[int, int, int]
WHITE = (255, 255, 255)


def trained_artists(source: Pictures, concept: Concept) -> list[str]:
    """Those whose pictures of a thing are learned from: neither a style that it is held out of, nor who drew
    the same picture (the flags of `plain` are those of `3d`)."""
    held_out = [style for style in STYLES if style not in trained_styles(concept)]
    hidden = [_small(source, concept, style) for style in held_out]
    return [
        artist
        for artist in source.artists(concept)
        if artist not in held_out
        and not any(_same(_small(source, concept, artist), picture) for picture in hidden)
    ]


def _small(source: Pictures, concept: Concept, artist: str) -> np.ndarray:
    """A picture's colours in [0, 1] at 48 x 48 pixels."""
    return np.asarray(source.draw(concept, artist, 48), np.float32) / 255


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether the PSNR of two pictures is above 30 dB; of those that two artists drew it is 27 dB at most."""
    return float(np.square(one - other).mean()) < 1e-3


@dataclass(frozen=True)
class Cutouts:
    """Every picture that is learned from, by every artist.

    Attributes:
        pixels: uint8 RGBA (N, size, size, 4).
        concepts: int64 (N,), numbers of what they show.
        artists: int64 (N,), places in `ARTISTS`.
    """

    pixels: np.ndarray
    concepts: np.ndarray
    artists: np.ndarray

    @classmethod
    def drawn(cls, source: Pictures, concepts: Sequence[Concept], size: int) -> Cutouts:
        """Those of the picture packages."""
        rows = [
            (np.asarray(source.cutout(concept, artist, size)), concept.number, ARTISTS.index(artist))
            for concept in tqdm(concepts, desc="cutouts", mininterval=5)
            for artist in trained_artists(source, concept)
        ]
        return cls(*(np.array(column) for column in zip(*rows, strict=True)))

    @classmethod
    def load(cls, path: Path) -> Cutouts:
        with np.load(path, allow_pickle=False) as data:
            return cls(data["pixels"], data["concepts"], data["artists"])

    def save(self, path: Path) -> None:
        """Writes the file atomically."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **vars(self))


@dataclass(frozen=True)
class Views:
    """What nano sees in pictures of each concept.

    Attributes:
        codes: int16 (concepts, `COPIES`, codes), as pictures that are shown have them.
        artists: int8 (concepts, `COPIES`), places in `ARTISTS`.
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
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, codes=self.codes.astype(np.int16), artists=self.artists.astype(np.int8))

    def of(self, index: int, artist: str | None, rng: random.Random) -> np.ndarray:
        """The codes of a view of a concept, by any artist if none is named."""
        own = self.artists[index]
        places = range(len(own)) if artist is None else np.flatnonzero(own == ARTISTS.index(artist))
        return self.codes[index, rng.choice(places)]


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
