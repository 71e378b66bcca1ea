"""Icon sets that other artists drew, as npm packages hold them: SVG by name, and which shows which thing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{}">{}</svg>'
)


def load_icons(folder: Path, called: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Hexcode -> SVG, of the things that an icon set has.

    Args:
        folder: of an `@iconify-json` package.
        called: hexcode -> what the thing may be called, the likeliest first.
    """
    table = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
    icons, aliases = table["icons"], table.get("aliases", {})
    spelt = {_slug(name): name for name in (*aliases, *icons)}
    found = {}
    for hexcode, names in called.items():
        name = next((spelt[slug] for slug in map(_slug, names) if slug in spelt), None)
        while name in aliases:
            name = aliases[name]["parent"]
        if name in icons:
            found[hexcode] = _svg(icons[name], table)
    return found


def call_names(root: Path, names: Mapping[str, str]) -> dict[str, list[str]]:
    """What each thing may be called.

    Args:
        root: a `node_modules` folder with `emojibase-data`.
        names: hexcode -> the name that comes first; what is another thing's name is never an alias.
    """
    called = {hexcode: list(_named(name)) for hexcode, name in names.items()}
    taken = {_slug(name) for name in names.values()}
    for file in sorted((root / "emojibase-data/en/shortcodes").glob("*.json")):
        for hexcode, codes in json.loads(file.read_text(encoding="utf-8")).items():
            codes = [codes] if isinstance(codes, str) else codes
            if hexcode in called:
                called[hexcode] += [code for code in codes if _slug(code) not in taken]
    return called


def _named(name: str) -> Iterator[str]:
    yield name
    if name.startswith("flag of "):
        land = name.removeprefix("flag of ")
        yield from (f"flag for {land}", f"flag {land}", f"{land} flag")


def _slug(name: str) -> str:
    return "".join(re.findall("[a-z0-9]+", name.lower()))


def _svg(icon: Mapping[str, Any], table: Mapping[str, Any]) -> str:
    sizes = [icon.get(key, table.get(key, 16)) for key in ("width", "height")]
    box = [icon.get("left", 0), icon.get("top", 0), *sizes]
    return _SVG.format(" ".join(map(str, box)), icon["body"])
