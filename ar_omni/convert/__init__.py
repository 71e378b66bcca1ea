"""Published checkpoints -> our folder: AR-Omni, Chameleon and Anole 7B, the Chameleon VQGAN, WavTokenizer.

    from ar_omni.convert import convert
    convert("downloads/ar-omni-chat", "ar-omni-7b")

`AROmni.from_pretrained` does the same with a source folder, once, into the cache (`converted`).
"""

from __future__ import annotations

import hashlib
import os
from argparse import Namespace
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from ar_omni.errors import InputError

__all__ = ["convert", "converted", "is_foreign"]

LAYOUT_VERSION = 1
"""Of the folders that conversion writes; another number converts cached sources anew."""
CACHE_VARIABLE = "AR_OMNI_CACHE"


def convert(
    source: str | PathLike,
    target: str | PathLike,
    parts: Sequence[str | PathLike] = (),
    trust_pickle: bool = False,
    progress: bool = True,
) -> Path:
    """Convert what is recognised in `source` into a new folder, which appears whole or not at all.

    Memory stays near that of the largest tensor: tensors are read and written one by one.

    Args:
        source: a folder with a Meta or transformers Chameleon and the codecs' checkpoints, or one codec's
            file.
        target: the folder to write; a codec alone becomes a tokenizer folder.
        parts: more places to look into; what they hold replaces what `source` does.
        trust_pickle: read PyTorch files that hold more than tensors, which lets them run code.
        progress: show a progress bar.

    Returns:
        `target`.

    Raises:
        InputError: `target` exists.
        CheckpointError: nothing known in a place, or a checkpoint that is damaged or does not fit its format.
    """
    from ar_omni.convert.checkpoint import write_checkpoint
    from ar_omni.convert.sources import find_sources
    from ar_omni.convert.writer import whole_folder
    from ar_omni.manifest import write_manifest

    target = Path(target)
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise InputError(f"expected a folder not there yet, got {target}; name another or remove it")
    sources = find_sources([Path(place) for place in (source, *parts)], trust_pickle)
    with whole_folder(target) as folder:
        notes = write_checkpoint(folder, sources, trust_pickle, progress)
        write_manifest(folder, notes)
    return target


def is_foreign(folder: str | PathLike) -> bool:
    """Whether a folder holds a published language model rather than one of our checkpoints."""
    from ar_omni.convert.sources import is_foreign as recognise

    return recognise(Path(folder))


def converted(folder: str | PathLike, progress: bool = True) -> Path:
    """Our form of a published folder: from the cache, or converted into it now.

    The cache is the folder that `AR_OMNI_CACHE` names, or `~/.cache/ar_omni`; its entries are told apart by
    the source's place and the sizes and times of its files.
    """
    folder = Path(folder).resolve()
    digest = hashlib.sha256(str((LAYOUT_VERSION, folder)).encode())
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            state = path.stat()
            digest.update(f"{path.relative_to(folder)} {state.st_size} {state.st_mtime_ns}\n".encode())
    root = Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "ar_omni")
    target = root / "converted" / f"{folder.name}-{digest.hexdigest()[:16]}"
    return target if target.is_dir() else convert(folder, target, progress=progress)


def main(args: Namespace) -> dict:
    """`ar-omni convert SRC DST [--part PATH]... [--trust-pickle]`."""
    target = convert(
        args.source, args.destination, args.part, trust_pickle=args.trust_pickle, progress=not args.json
    )
    files = [path for path in target.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    if not args.json:
        print(f"{target}: {len(files)} files, {size / 1e6:.1f} MB")
    return {"folder": str(target), "files": len(files), "bytes": size}
