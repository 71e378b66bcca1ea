"""Pictures as people show them: what a view may change, and which views training is given."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ar_omni.training.world.dialogues import trained_styles
from ar_omni.training.world.pictures import OTHER_ARTIST, STYLES, Concept, is_held_out_pair
from ar_omni.training.world.tasks import World
from ar_omni.training.world.views import ARTISTS, COPIES, Views, view, views

NAMES = [f"thing {i}" for i in range(40)]
CONCEPTS = [Concept(name, "1F34E", "food and drink", (), "is a thing", i) for i, name in enumerate(NAMES)]
HELD_OUT = next(c for c in CONCEPTS if any(is_held_out_pair(c.name, style) for style in STYLES))


class Packages:
    """A red disc by every artist, but for one thing that the other artist does not draw."""

    def has(self, concept: Concept, artist: str) -> bool:
        return concept is not CONCEPTS[1]

    def cutout(self, concept: Concept, artist: str, size: int) -> Image.Image:
        picture = Image.new("RGBA", (size, size))
        ImageDraw.Draw(picture).ellipse([size // 4, size // 4, 3 * size // 4, 3 * size // 4], fill="red")
        return picture


def test_views_are_never_of_a_pair_that_is_held_out():
    shown = list(views(Packages(), HELD_OUT, 32))
    assert len(shown) == COPIES
    assert {artist for artist, _ in shown} == {*trained_styles(HELD_OUT), OTHER_ARTIST}
    assert len(trained_styles(HELD_OUT)) == len(STYLES) - 1


def test_a_thing_that_the_other_artist_left_out_has_as_many_views():
    shown = list(views(Packages(), CONCEPTS[1], 32))
    assert len(shown) == COPIES and OTHER_ARTIST not in {artist for artist, _ in shown}


def test_views_differ_and_are_the_same_at_each_call():
    first, again = (
        [np.asarray(picture) for _, picture in views(Packages(), CONCEPTS[0], 32)] for _ in range(2)
    )
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert len({picture.tobytes() for picture in first}) == COPIES


def test_what_is_shown_stays_in_the_picture():
    rng = random.Random(0)
    for _ in range(50):
        picture = np.asarray(view(Packages().cutout(CONCEPTS[0], "flat", 64), rng)).astype(int)
        red = picture[..., 0] - picture[..., 1:].max(-1) > 60
        assert picture.shape == (64, 64, 3) and 0.05 < red.mean() < 0.35


@pytest.fixture
def world() -> World:
    """A code tells who drew it: 9 for pictures as they are drawn, else a place in `ARTISTS`."""
    own = [[*map(ARTISTS.index, trained_styles(concept)), len(STYLES)] for concept in CONCEPTS]
    artists = np.array([(row * COPIES)[:COPIES] for row in own])
    codes = np.repeat(artists[..., None], 4, axis=-1)
    pictures = np.full((len(CONCEPTS), len(STYLES), 4), 9)
    return World(tuple(CONCEPTS), pictures, {}, {}, views=Views(codes, artists))


def test_descriptions_name_the_style_of_what_is_shown(world):
    rng, seen = random.Random(1), set()
    for _ in range(400):
        (asked, told), task = world.conversation(rng, 1.0, {"describe": 1.0})
        (code,) = set(asked["content"][0]["codes"])
        text = told["content"][0]["text"]
        named = next((style for style in STYLES if f"in {style} style" in text), None)
        assert task == "describe" and (named is None or code in (9, ARTISTS.index(named)))
        seen.add((named, code))
    assert {code for named, code in seen if named is None} == {*range(len(ARTISTS))}
    assert all({(style, 9), (style, ARTISTS.index(style))} <= seen for style in STYLES)


def test_what_is_drawn_is_no_view(world):
    rng = random.Random(2)
    for _ in range(100):
        (_, told), _ = world.conversation(rng, 1.0, {"draw": 1.0})
        assert set(told["content"][0]["codes"]) == {9}


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
        assert set(asked["content"][0]["codes"]) == {9}
