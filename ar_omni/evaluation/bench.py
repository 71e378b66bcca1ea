"""What every suite works with: the model, the items, the judges, and a folder to keep replies in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ar_omni.errors import InputError
from ar_omni.evaluation.figures import Figure
from ar_omni.evaluation.heldout import HeldOut
from ar_omni.media import Audio, save_image

if TYPE_CHECKING:
    from PIL.Image import Image

    from ar_omni.omni import AROmni

T = TypeVar("T")
Row = dict
Result = tuple[dict[str, Figure], list[Row]]


@dataclass(frozen=True, eq=False)
class Bench:
    """A model, the held-out items, the judges that hear and rate speech, and the voice that reads."""

    omni: AROmni
    held_out: HeldOut
    hear: Callable[[Audio], str]
    rate: Callable[[Audio], float]
    read: Callable[[str], Audio]
    limit: int | None = None
    """At most this many items of a kind; None means all."""
    seed: int = 0
    progress: bool = True
    folder: Path | None = None
    """Where replies are kept, to look at and listen to; None keeps none."""

    def each(self, items: Sequence[T], name: str) -> Iterable[T]:
        """The first `limit` items, under a progress bar."""
        from tqdm import tqdm

        if not items:
            raise InputError(f"expected items for {name!r} in {self.held_out.folder}, got none")
        return tqdm(items[: self.limit], desc=name, unit="item", disable=not self.progress)

    def keep(self, suite: str, number: int, **media: Audio | Image | None) -> dict[str, str]:
        """Write recordings and pictures as files of the item `number`; (keyword -> file) for its row."""
        if self.folder is None:
            return {}
        (self.folder / suite).mkdir(parents=True, exist_ok=True)
        kept = {}
        for key, medium in media.items():
            if isinstance(medium, Audio):
                kept[key] = f"{suite}/{number:04d}-{key}.ogg"
                medium.save(self.folder / kept[key])
            elif medium is not None:
                kept[key] = f"{suite}/{number:04d}-{key}.png"
                save_image(medium, self.folder / kept[key])
        return kept


def column(rows: Sequence[Row], key: str) -> list[float]:
    """The numbers of all rows under `key`; nothing counts as 0."""
    return [float(row[key] or 0) for row in rows]
