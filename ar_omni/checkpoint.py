"""Where a checkpoint is: bundled, in a folder, on the hub, or in a foreign format."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path

from ar_omni.errors import CheckpointError
from ar_omni.manifest import check_manifest

BUNDLED = Path(__file__).parent / "assets" / "nano"


def find_checkpoint(name: str | PathLike | None = None) -> Path:
    """The folder of a checkpoint in our format.

    Args:
        name: a folder, or a hub id (fetched once); None is the bundled nano. A folder in a foreign format is
            converted into the cache first.

    Raises:
        CheckpointError: nothing there, or nothing that is known.
    """
    folder = BUNDLED if name is None else Path(name)
    if not folder.is_dir() and name is not None and str(name).count("/") == 1:
        folder = _from_hub(str(name))
    if not folder.is_dir():
        raise CheckpointError(f"expected a checkpoint folder or a hub id such as org/name, got {folder}")
    if not _is_ours(folder):
        from ar_omni.convert import converted

        folder = converted(folder)
    check_manifest(folder)
    return folder


def _is_ours(folder: Path) -> bool:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return config.get("model_type") == "ar_omni"
    except (OSError, ValueError, AttributeError):
        return False


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name))
    except Exception as error:  # the hub client raises errors of several libraries
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"expected a checkpoint folder or a hub id, got {name!r}: {reason}") from error
