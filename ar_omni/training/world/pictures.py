"""The picture world: emoji concepts with names, drawn in three styles that words can ask for."""

from __future__ import annotations

import hashlib
import io
import json
import re
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from ar_omni.training.world.icons import call_names, load_icons

PACKAGES = (
    "emojibase-data@17.0.0",
    "@svgmoji/noto@3.2.0",
    "@twemoji/svg@15.0.0",
    "@lobehub/fluent-emoji-3d@1.1.0",
    "@lobehub/fluent-emoji-flat@1.1.0",
    "@iconify-json/noto-v1@1.2.5",
    "@iconify-json/fxemoji@1.2.2",
    "@iconify-json/emojione@1.2.3",
    "@iconify-json/streamline-emojis@1.2.4",
    "@iconify-json/emojione-monotone@1.2.1",
    "@iconify-json/fluent-emoji-high-contrast@1.2.6",
)
STYLES = ("classic", "flat", "3d")
ICON_SETS = (
    "noto-v1",
    "fxemoji",
    "emojione",
    "streamline-emojis",
    "emojione-monotone",
    "fluent-emoji-high-contrast",
)
ARTISTS = (*STYLES, "plain", *ICON_SETS)
"""Who drew what nano is shown; it draws as the first three alone."""
GROUPS = {
    0: "smileys and emotion",
    1: "people and body",
    3: "animals and nature",
    4: "food and drink",
    5: "travel and places",
    6: "activities",
    7: "objects",
    8: "symbols",
    9: "flags",
}
_SVG = "{http://www.w3.org/2000/svg}"
_SPELLED = {
    "&": " and ",
    "1st": "first",
    "2nd": "second",
    "3rd": "third",
    "keycap: 10": "number ten",
    "8 ball": "eight ball",
    "u.s.": "u s",
    "st.": "saint",
}
_THINGS = frozenset(GROUPS[number] for number in (3, 4, 5, 6, 7))
"""Groups whose names end with a noun that says what kind of thing it is."""
_BARE = re.compile(
    r"(?:no|women|men|people) .*"
    r"|.*(?:ing|food|rice|bread|bacon|salt|butter|sushi|milk|tea|water|money|music|weather)"
)
"""Names that take no article."""


@dataclass(frozen=True)
class Concept:
    """A thing with a plain name, its emoji code point sequence, its group and its search words."""

    name: str
    hexcode: str
    group: str
    tags: tuple[str, ...]
    gloss: str
    """What is said of it, from the verb on: "is a leaping insect", "goes with light, star and night"."""
    number: int = 0
    """Its place among all concepts."""

    @property
    def phrase(self) -> str:
        """The name as one says it: "a red apple", "an owl", "grapes", "the flag of chad"."""
        if self.name.startswith("flag of "):
            return f"the {self.name}"
        if is_plural(self.name) or _BARE.fullmatch(self.name):
            return self.name
        return with_article(self.name)


def with_article(noun: str) -> str:
    """ "a red apple", "an owl"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def is_plural(name: str) -> bool:
    """Whether a name speaks of several things."""
    return name.endswith("s") and not name.endswith(("ss", "us")) and not name.startswith("flag of ")


def listed(words: Sequence[str]) -> str:
    """ "light, star and night"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def load_concepts(path: Path, groups: Collection[str] = ()) -> list[Concept]:
    """The concepts of a file that `train/prepare_data.py` wrote, of `groups` alone if there are any."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    concepts = [Concept(**{**row, "tags": tuple(row["tags"]), "number": i}) for i, row in enumerate(rows)]
    return [concept for concept in concepts if not groups or concept.group in groups]


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
            "plain": {
                file.stem.upper(): file for file in (root / "@lobehub/fluent-emoji-flat/assets").glob("*.svg")
            },
        }

    def concepts(self, glosses: Mapping[str, str] | None = None) -> list[Concept]:
        """Everything that all three styles draw, with a name of plain words.

        Args:
            glosses: name -> what it is; where there is none, the search words say it.
        """
        entries = json.loads((self.root / "emojibase-data/en/data.json").read_text(encoding="utf-8"))
        tables = (self.noto, self.files["flat"], self.files["3d"])
        drawn = [
            entry
            for entry in entries
            if entry.get("group") in GROUPS and all(self._key(table, entry["hexcode"]) for table in tables)
        ]
        return [_concept(entry, glosses or {}, number) for number, entry in enumerate(drawn)]

    @staticmethod
    def _key(table: dict, hexcode: str) -> str | None:
        """The spelling of a code point sequence that a package uses: with or without the emoji selector."""
        return next((key for key in (hexcode, hexcode.replace("-FE0F", "")) if key in table), None)

    def draw(self, concept: Concept, style: str, size: int) -> Image.Image:
        """The concept as an RGB picture of `size` x `size` pixels on white."""
        canvas = Image.new("RGBA", (size, size), "white")
        canvas.alpha_composite(self.cutout(concept, style, size))
        return canvas.convert("RGB")

    @cached_property
    def icons(self) -> dict[str, dict[str, str]]:
        """Icon set -> hexcode -> SVG."""
        concepts = self.concepts()
        called = call_names(self.root, {concept.hexcode: concept.name for concept in concepts})
        return {name: load_icons(self.root / "@iconify-json" / name, called) for name in ICON_SETS}

    def artists(self, concept: Concept) -> list[str]:
        """Who drew the concept, in the order of `ARTISTS`."""
        tables = {"classic": self.noto, **self.files, **self.icons}
        return [artist for artist in ARTISTS if self._key(tables[artist], concept.hexcode)]

    def cutout(self, concept: Concept, artist: str, size: int) -> Image.Image:
        """The concept by one of its `artists`: RGBA, what is around it transparent."""
        picture = self._source(concept, artist, size).convert("RGBA")
        return picture.resize((size, size), Image.Resampling.LANCZOS)

    def _source(self, concept: Concept, artist: str, size: int) -> Image.Image:
        if artist == "classic":
            node = self.noto[self._key(self.noto, concept.hexcode)]
            return _render(ElementTree.tostring(node, encoding="unicode"), 2 * size)
        if artist in ICON_SETS:
            return _render(self.icons[artist][concept.hexcode], 2 * size)
        file = self.files[artist][self._key(self.files[artist], concept.hexcode)]
        if file.suffix == ".svg":
            return _render(file.read_text(encoding="utf-8"), 2 * size)
        return Image.open(file)


def plain_name(label: str) -> str:
    """An emoji's label in lower-case words: "flag: Chad" -> "flag of chad"."""
    text = label.lower().replace("\u2019", "'")
    for spelling, words in _SPELLED.items():
        text = text.replace(spelling, words)
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    kind, _, rest = text.partition(": ")
    if rest:
        text = f"flag of {rest}" if kind == "flag" else f"{kind} with {rest}"
    text = text.replace("with bald", "without hair").replace(" - ", " ")
    return " ".join(re.findall(r"[a-z']+", text.replace("-", " ")))


def _concept(entry: Mapping[str, Any], glosses: Mapping[str, str], number: int) -> Concept:
    name, group = plain_name(entry["label"]), GROUPS[entry["group"]]
    tags = [plain_name(tag) for tag in entry.get("tags", ())]
    tags = [tag for tag in tags if len(tag) > 2 and tag not in name.split()]
    known = glosses.get(name) or (glosses.get(name.split()[-1]) if group in _THINGS else None)
    if known:
        said = f"{'are' if is_plural(name) else 'is'} {known}"
    elif tags:
        said = f"{'go' if is_plural(name) else 'goes'} with {listed(tags[:3])}"
    else:
        said = f"{'belong' if is_plural(name) else 'belongs'} to {group}"
    return Concept(name, entry["hexcode"], group, tuple(tags), said, number)


def _render(svg: str, size: int) -> Image.Image:
    import resvg_py

    return Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size))))


def is_held_out_pair(name: str, style: str, share: float = 0.05) -> bool:
    """Whether the pair is never trained on: decided by a hash, at most one style of a concept."""
    digest = hashlib.blake2b(name.encode(), digest_size=5).digest()
    return int.from_bytes(digest[:4]) < 3 * share * 2**32 and STYLES[digest[4] % len(STYLES)] == style
