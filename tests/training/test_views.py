"""Pictures as people show them: what a view may change, and which views training is given."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ar_omni.training.world.pictures import ARTISTS, STYLES, Concept, is_held_out_pair
from ar_omni.training.world.tasks import MISSEEN, World
from ar_omni.training.world.views import COPIES, Cutouts, Views, trained_artists, view

NAMES = [f"thing {i}" for i in range(60)]
CONCEPTS = [Concept(name, "1F34E", "food and drink", (), "is a thing", i) for i, name in enumerate(NAMES)]
OWN = len(ARTISTS)
"""The code of pictures as they are drawn."""


class Packages:
    """A red disc by every artist, none as large as another's but for `plain`, which is as `3d`; one thing is
    not drawn by one of them."""

    def artists(self, concept: Concept) -> list[str]:
        return [artist for artist in ARTISTS if concept is not CONCEPTS[1] or artist != "fxemoji"]

    def cutout(self, concept: Concept, artist: str, size: int) -> Image.Image:
        picture = Image.new("RGBA", (size, size))
        edge = size * (9 + ARTISTS.index({"plain": "3d"}.get(artist, artist))) / 40
        ImageDraw.Draw(picture).ellipse([edge, edge, size - edge, size - edge], fill="red")
        return picture

    def draw(self, concept: Concept, artist: str, size: int) -> Image.Image:
        canvas = Image.new("RGBA", (size, size), "white")
        canvas.alpha_composite(self.cutout(concept, artist, size))
        return canvas.convert("RGB")


@pytest.mark.parametrize("style", STYLES)
def test_nothing_is_seen_of_a_pair_that_is_held_out_nor_the_same_picture(style):
    concept = next(c for c in CONCEPTS if is_held_out_pair(c.name, style))
    left_out = {style, "plain"} if style == "3d" else {style}
    assert set(trained_artists(Packages(), concept)) == {*ARTISTS} - left_out


def test_cutouts_are_those_that_were_drawn(tmp_path):
    Cutouts.drawn(Packages(), CONCEPTS[:3], 16).save(tmp_path / "cutouts.npz")
    loaded = Cutouts.load(tmp_path / "cutouts.npz")
    rows = list(zip(loaded.concepts.tolist(), loaded.artists.tolist(), strict=True))
    assert rows == [
        (number, ARTISTS.index(artist))
        for number in range(3)
        for artist in trained_artists(Packages(), CONCEPTS[number])
    ]
    assert loaded.pixels.shape == (len(rows), 16, 16, 4) and loaded.pixels.dtype == np.uint8


def test_what_is_shown_stays_in_the_picture():
    rng = random.Random(0)
    for _ in range(50):
        picture = np.asarray(view(Packages().cutout(CONCEPTS[0], "flat", 64), rng)).astype(int)
        red = picture[..., 0] - picture[..., 1:].max(-1) > 60
        assert picture.shape == (64, 64, 3) and 0.05 < red.mean() < 0.35


@pytest.fixture
def world() -> World:
    """A code tells who drew it: `OWN` for pictures as they are drawn, else a place in `ARTISTS`."""
    own = [[*map(ARTISTS.index, trained_artists(Packages(), concept))] for concept in CONCEPTS]
    artists = np.array([(row * COPIES)[:COPIES] for row in own])
    codes = np.repeat(artists[..., None], 40, axis=-1)
    pictures = np.full((len(CONCEPTS), len(STYLES), 4), OWN)
    return World(tuple(CONCEPTS), pictures, {}, {}, views=Views(codes, artists))


def _mostly(codes: list[int]) -> int:
    return max(codes, key=codes.count)


def test_descriptions_name_the_style_of_what_is_shown(world):
    rng, seen = random.Random(1), set()
    for _ in range(600):
        (asked, told), task = world.conversation(rng, 1.0, {"describe": 1.0})
        artist = _mostly(asked["content"][0]["codes"])
        text = told["content"][0]["text"]
        named = next((style for style in STYLES if f"in {style} style" in text), None)
        assert task == "describe" and (named is None or artist == ARTISTS.index(named))
        seen.add((named, artist))
    assert {artist for named, artist in seen if named is None} == {*range(len(ARTISTS))}
    assert {(style, ARTISTS.index(style)) for style in STYLES} <= seen


def test_some_codes_of_what_is_shown_are_of_others(world):
    rng, wrong = random.Random(4), []
    for _ in range(300):
        codes = world.shown(0, "flat", rng)["codes"]
        wrong += [code != ARTISTS.index("flat") for code in codes]
    assert 0.6 * MISSEEN < np.mean(wrong) < MISSEEN


def test_what_is_drawn_is_no_view(world):
    rng = random.Random(2)
    for _ in range(100):
        (_, told), _ = world.conversation(rng, 1.0, {"draw": 1.0})
        assert set(told["content"][0]["codes"]) == {OWN}


def test_views_are_saved_and_read(world, tmp_path):
    world.views.save(tmp_path / "views.npz")
    loaded = Views.load(tmp_path / "views.npz", [3, 1])
    assert (loaded.codes == world.views.codes[[3, 1]]).all()
    assert (loaded.artists == world.views.artists[[3, 1]]).all()


def test_a_world_without_views_shows_what_it_draws(world):
    plain = replace(world, views=None)
    rng = random.Random(3)
    for _ in range(50):
        (asked, _), _ = plain.conversation(rng, 1.0, {"describe": 1.0})
        assert set(asked["content"][0]["codes"]) == {OWN}
