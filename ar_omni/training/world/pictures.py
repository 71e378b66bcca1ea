"""The picture world: emoji concepts with names, drawn in three styles that words can ask for."""

from __future__ import annotations

import hashlib
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

PACKAGES = (
    "emojibase-data@17.0.0",
    "@svgmoji/noto@3.2.0",
    "@twemoji/svg@15.0.0",
    "@lobehub/fluent-emoji-3d@1.1.0",
)
STYLES = ("classic", "flat", "3d")
GROUPS = {3: "animals and nature", 4: "food and drink", 5: "travel and places", 6: "activities", 7: "objects"}
_SVG = "{http://www.w3.org/2000/svg}"
_UNWANTED = re.compile(
    r"thirty|hotel|cigarette|headstone|kaaba|synagogue|mosque|hindu|placard|nazar|briefs|bikini"
)


@dataclass(frozen=True)
class Concept:
    """A thing with a plain name, its emoji code point sequence, its group and its search words."""

    name: str
    hexcode: str
    group: str
    tags: tuple[str, ...]

    @property
    def phrase(self) -> str:
        """The name as one says it: "a red apple", "an owl", "grapes"."""
        plural = self.name.endswith("s") and not self.name.endswith(("ss", "us", "bus", "compass"))
        if plural:
            return self.name
        return f"{'an' if self.name[0] in 'aeiou' else 'a'} {self.name}"


class Pictures:
    """Reads the emoji packages under `root` (a `node_modules` folder) and draws any concept in any style."""

    def __init__(self, root: Path) -> None:
        self.root = root
        sprite = root / "@svgmoji/noto/sprites/all.svg"
        self.noto = {
            node.get("id"): node
            for node in ElementTree.parse(sprite).getroot().iter(f"{_SVG}svg")
            if node.get("id")
        }
        self.files = {
            "flat": {file.stem.upper(): file for file in (root / "@twemoji/svg").glob("*.svg")},
            "3d": {
                file.stem.upper(): file for file in (root / "@lobehub/fluent-emoji-3d/assets").glob("*.webp")
            },
        }

    def concepts(self, max_words: int = 2) -> list[Concept]:
        """Things of five groups, drawn in all styles, with names of at most `max_words` plain words."""
        entries = json.loads((self.root / "emojibase-data/en/data.json").read_text(encoding="utf-8"))
        names = [(entry, entry["label"].lower()) for entry in entries if entry.get("group") in GROUPS]
        return [
            Concept(name, entry["hexcode"], GROUPS[entry["group"]], tuple(entry.get("tags", ())))
            for entry, name in names
            if len(name.split()) <= max_words
            and re.fullmatch(r"[a-z' -]+", name)
            and not _UNWANTED.search(name)
            and all(self._key(table, entry["hexcode"]) for table in (self.noto, *self.files.values()))
        ]

    @staticmethod
    def _key(table: dict, hexcode: str) -> str | None:
        """The spelling of a code point sequence that a package uses: with or without the emoji selector."""
        return next((key for key in (hexcode, hexcode.replace("-FE0F", "")) if key in table), None)

    def draw(self, concept: Concept, style: str, size: int) -> Image.Image:
        """The concept as an RGB picture of `size` x `size` pixels on white."""
        picture = self._source(concept, style, size).convert("RGBA")
        picture = picture.resize((size, size), Image.Resampling.LANCZOS)
        canvas = Image.new("RGBA", (size, size), "white")
        canvas.alpha_composite(picture)
        return canvas.convert("RGB")

    def _source(self, concept: Concept, style: str, size: int) -> Image.Image:
        if style == "classic":
            node = self.noto[self._key(self.noto, concept.hexcode)]
            return _render(ElementTree.tostring(node, encoding="unicode"), 2 * size)
        file = self.files[style][self._key(self.files[style], concept.hexcode)]
        if style == "flat":
            return _render(file.read_text(encoding="utf-8"), 2 * size)
        return Image.open(file)


def _render(svg: str, size: int) -> Image.Image:
    import resvg_py

    return Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size))))


def is_held_out_pair(name: str, style: str, share: float = 0.05) -> bool:
    """Whether the pair is never trained on: decided by a hash, at most one style of a concept."""
    digest = hashlib.blake2b(name.encode(), digest_size=5).digest()
    return int.from_bytes(digest[:4]) < 3 * share * 2**32 and STYLES[digest[4] % len(STYLES)] == style
