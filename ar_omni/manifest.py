"""`manifest.json`: size and hash of every file of a checkpoint, so that a damaged copy is seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from ar_omni.errors import CheckpointError
from ar_omni.media import replacing

MANIFEST_NAME = "manifest.json"


def write_manifest(folder: str | PathLike, notes: Mapping[str, Any] | None = None) -> None:
    """Hash every file below `folder` into its `manifest.json`, with `notes` (its origin) beside them."""
    folder = Path(folder)
    files = {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": _digest(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST_NAME and not path.name.startswith(".")
    }
    with replacing(folder / MANIFEST_NAME) as path:
        text = json.dumps({**(notes or {}), "files": files}, indent=2)
        path.write_text(text + "\n", encoding="utf-8")


def check_manifest(folder: str | PathLike, hashes: bool = False) -> None:
    """Compare the files with the manifest; a folder without one passes.

    Args:
        folder: a checkpoint.
        hashes: read every file and compare its hash too, not only its size.

    Raises:
        CheckpointError: a file is missing or differs.
    """
    folder = Path(folder)
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"expected a manifest with files in {path}, got {error!r}; copy the checkpoint again"
        ) from error
    for name, entry in files.items():
        file = folder / name
        size = file.stat().st_size if file.is_file() else None
        if size != entry["size"] or (hashes and _digest(file) != entry["sha256"]):
            found = "no such file" if size is None else f"{size} bytes" if size != entry["size"] else "others"
            raise CheckpointError(
                f"expected {entry['size']} bytes of a known hash in {file}, got {found}; "
                "copy the checkpoint again"
            )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
