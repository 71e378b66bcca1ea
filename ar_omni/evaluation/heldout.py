"""The held-out set that ships with the package, in `ar_omni/assets/eval/`.

`heldout.json`:

    {"sentences": ["..."], "long_sentences": ["..."],                 read aloud for tts, asr, codec
     "pairs": [{"name": "red apple", "style": "3d", "prompt": "a red apple in 3d style", ...}],
     "requests": [{"text": "show me a red apple", "name": "red apple"}],
     "scripts": [[{"said": "what is this?", "spoken": true, ...}]],   conversations, each a list of turns
     "questions": [{"said": "what is a mortgage?", ...}],             turns by themselves
     "picture_size": 96, "pictures": [["red apple", "3d"], ...],      what the first sheet holds
     "gallery_tile": 32, "names": ["red apple", ...], "styles": ["classic", ...]}

`pictures.webp`: what `pictures` lists, without loss, tiles of `picture_size` pixels, row by row.
`gallery.webp`: every name in every style, names outermost, tiles of `gallery_tile` pixels.
`clips/clips.json`: [{"voice": "slt", "text": "...", "file": "slt-00.ogg"}], recordings of other voices.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ar_omni.errors import InputError
from ar_omni.evaluation.sheets import save_sheet, tiles
from ar_omni.media import Audio, load_image, replacing

if TYPE_CHECKING:
    from PIL.Image import Image

ASSETS = Path(__file__).parents[1] / "assets" / "eval"
Picture = tuple[str, str]
"""(name, style)."""


@dataclass(frozen=True)
class Pair:
    """One concept in one style, its group, the words that ask for it, and whether it was trained on."""

    name: str
    style: str
    prompt: str
    seen: bool = False
    group: str = ""


@dataclass(frozen=True)
class Request:
    """A spoken request for a picture, and the concept that it asks for."""

    text: str
    name: str


@dataclass(frozen=True)
class Turn:
    """What the user does, and the right answer to it.

    Attributes:
        said: the user's words.
        spoken: whether they are said, or typed.
        answer: the text of the right reply.
        kind: what the turn is about.
        shown: the picture that the user shows.
        drawn: name of what the reply draws, and its style if the words tell which; None for no picture.
    """

    said: str
    spoken: bool
    answer: str
    kind: str
    shown: Picture | None = None
    drawn: tuple[str, str | None] | None = None


@dataclass(frozen=True)
class Clip:
    """A recording of another voice and what it says; `voice` is `PERSON` for a human being."""

    voice: str
    text: str
    audio: Audio


PERSON = "person"


@dataclass(frozen=True, eq=False)
class Gallery:
    """Every concept in every style: (name, style) of each, and its pixels, float32 (n, tile * tile * 3)."""

    items: list[Picture]
    pixels: np.ndarray
    tile: int

    @cached_property
    def squares(self) -> np.ndarray:
        """Squared length of each picture, float32 (n,)."""
        return np.square(self.pixels).sum(axis=1)

    @cached_property
    def names(self) -> list[str]:
        """Every name once."""
        return list(dict.fromkeys(name for name, _ in self.items))


class HeldOut:
    """The held-out items of `folder`; pictures and recordings are read when first asked for."""

    def __init__(self, folder: str | os.PathLike = ASSETS) -> None:
        self.folder = Path(folder)
        table = self._table = _read_json(self.folder / "heldout.json")
        self.sentences: list[str] = table["sentences"]
        self.long_sentences: list[str] = table["long_sentences"]
        self.pairs = [Pair(**pair) for pair in table["pairs"]]
        self.requests = [Request(**request) for request in table["requests"]]
        self.scripts = [[_turn(turn) for turn in script] for script in table["scripts"]]
        self.questions = [_turn(turn) for turn in table["questions"]]

    @cached_property
    def pictures(self) -> dict[Picture, Image]:
        """(name, style) -> picture, for all that the set holds at full size."""
        keys = [(name, style) for name, style in self._table["pictures"]]
        sheet = load_image(self.folder / "pictures.webp")
        return dict(zip(keys, tiles(sheet, self._table["picture_size"], len(keys)), strict=True))

    @cached_property
    def gallery(self) -> Gallery:
        """What drawn pictures are compared with."""
        items = list(itertools.product(self._table["names"], self._table["styles"]))
        tile = self._table["gallery_tile"]
        found = tiles(load_image(self.folder / "gallery.webp"), tile, len(items))
        pixels = np.stack([np.asarray(picture, dtype=np.float32).reshape(-1) / 255 for picture in found])
        return Gallery(items, pixels, tile)

    @cached_property
    def clips(self) -> dict[str, list[Clip]]:
        """Voice -> its recordings."""
        folder = self.folder / "clips"
        rows = _read_json(folder / "clips.json")
        clips = [Clip(row["voice"], row["text"], Audio.load(folder / row["file"])) for row in rows]
        voices = dict.fromkeys(clip.voice for clip in clips)
        return {voice: [clip for clip in clips if clip.voice == voice] for voice in voices}


def _read_json(path: Path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"expected a held-out set in {path.parent}, got {error}") from error


def _turn(row: Mapping) -> Turn:
    pictures = {key: tuple(row[key]) if row[key] else None for key in ("shown", "drawn")}
    return Turn(**{**row, **pictures})


def save_held_out(
    folder: str | os.PathLike,
    gallery: Mapping[Picture, Image],
    *,
    sentences: Sequence[str] = (),
    long_sentences: Sequence[str] = (),
    pairs: Sequence[Pair] = (),
    requests: Sequence[Request] = (),
    scripts: Sequence[Sequence[Turn]] = (),
    questions: Sequence[Turn] = (),
    more_pictures: Sequence[Picture] = (),
    picture_size: int = 96,
    gallery_tile: int = 32,
) -> None:
    """Write a held-out set that `HeldOut(folder)` reads; recipes call this once their split is fixed.

    Args:
        folder: created if it is not there.
        gallery: (name, style) -> picture, of any size: every name in every style, names outermost.
        sentences: to read aloud.
        long_sentences: to read aloud to the end.
        pairs: to draw and to describe.
        requests: to be spoken.
        scripts: conversations.
        questions: each begins a conversation, and ends it.
        more_pictures: to keep at full size for the codec, beside those of pairs and scripts.
        picture_size: side of the pictures kept at full size, in pixels.
        gallery_tile: side of the stored gallery pictures, in pixels.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    shown = [turn.shown for script in scripts for turn in script if turn.shown]
    kept = list(dict.fromkeys([(pair.name, pair.style) for pair in pairs] + shown + list(more_pictures)))
    table = {
        "sentences": list(sentences),
        "long_sentences": list(long_sentences),
        "pairs": [asdict(pair) for pair in pairs],
        "requests": [asdict(request) for request in requests],
        "scripts": [[asdict(turn) for turn in script] for script in scripts],
        "questions": [asdict(turn) for turn in questions],
        "picture_size": picture_size,
        "pictures": kept,
        "gallery_tile": gallery_tile,
        "names": list(dict.fromkeys(name for name, _ in gallery)),
        "styles": list(dict.fromkeys(style for _, style in gallery)),
    }
    save_sheet([gallery[key] for key in kept], picture_size, folder / "pictures.webp", lossless=True)
    save_sheet(list(gallery.values()), gallery_tile, folder / "gallery.webp", quality=70, method=6)
    with replacing(folder / "heldout.json") as temporary:
        temporary.write_text(json.dumps(table, ensure_ascii=False) + "\n", encoding="utf-8")


def save_clips(folder: str | os.PathLike, clips: Sequence[Clip]) -> None:
    """Write recordings that `HeldOut(folder).clips` reads, as ogg files at their own rates."""
    folder = Path(folder) / "clips"
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for voice, own in itertools.groupby(clips, key=lambda clip: clip.voice):
        for number, clip in enumerate(own):
            rows.append({"voice": voice, "text": clip.text, "file": f"{voice}-{number:02d}.ogg"})
            clip.audio.save(folder / rows[-1]["file"])
    with replacing(folder / "clips.json") as temporary:
        temporary.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
