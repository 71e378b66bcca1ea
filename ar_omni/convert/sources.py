"""Recognising foreign checkpoints: what a folder or file holds, told by its contents, never by its name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ar_omni.convert.codecs import WAV_ENCODER
from ar_omni.convert.language import HF_WEIGHTS, LanguageModel, open_hf, open_meta, read_json
from ar_omni.errors import CheckpointError
from ar_omni.tensor_files import load_pickle

MAX_DEPTH = 4
CODEC_SUFFIXES = (".ckpt", ".pt", ".pth")
TEXT_TOKENIZER_NAMES = ("text_tokenizer.json", "tokenizer.json")
KINDS = {"quantize.embedding.weight": "vqgan", f"{WAV_ENCODER}0.conv.conv.bias": "wavtokenizer"}
"""A tensor that tells what a codec's checkpoint is."""


@dataclass(frozen=True)
class CodecSource:
    """A codec's checkpoint and the settings in the yaml beside it (empty without one)."""

    path: Path
    settings: dict[str, Any]


@dataclass(frozen=True)
class Sources:
    """Where the parts of a model are; None for what was not found."""

    language: Path | None = None
    text_tokenizer: Path | None = None
    vqgan: CodecSource | None = None
    wavtokenizer: CodecSource | None = None

    def open_language(self, trust_pickle: bool) -> LanguageModel | None:
        """The language model, opened by the reader of its format."""
        if self.language is None:
            return None
        reader = open_meta if (self.language / "params.json").is_file() else open_hf
        return reader(self.language, trust_pickle)


def find_sources(places: Sequence[Path], trust_pickle: bool = False) -> Sources:
    """Look into each place, folder or file; what a later one holds replaces what an earlier one does.

    Raises:
        CheckpointError: nothing known is there, or two parts of one kind are in one place.
    """
    found: dict[str, Any] = {}
    for place in places:
        if not place.exists():
            raise CheckpointError(f"expected a checkpoint folder or file, got {place}, which does not exist")
        parts = _parts(place, trust_pickle)
        if not parts:
            raise CheckpointError(
                "expected a Meta or transformers Chameleon folder, a VQGAN or a WavTokenizer checkpoint, "
                f"got {place}; see `ar-omni convert --help`"
            )
        found |= parts
    return Sources(**found)


def is_foreign(folder: Path) -> bool:
    """Whether a folder holds a language model that must be converted before it runs."""
    return folder.is_dir() and any(_is_language(path) for path in _folders(folder))


def _parts(place: Path, trust_pickle: bool) -> dict[str, Any]:
    """The parts in one place, by the names of the fields of `Sources`."""
    folders = list(_folders(place)) if place.is_dir() else []
    languages = [folder for folder in folders if _is_language(folder)]
    parts: dict[str, Any] = {}
    if languages:
        parts["language"] = _only(languages, "a language model", place)
        folders += [folder for folder in _near(languages[0]) if folder not in folders]
        if text := _text_tokenizers(languages[0], folders):
            parts["text_tokenizer"] = text[0]
    files = [place] if place.is_file() else [path for folder in folders for path in _codec_files(folder)]
    codecs: dict[str, list[Path]] = {}
    for path in files:
        if kind := _codec_kind(path, trust_pickle):
            codecs.setdefault(kind, []).append(path)
    for kind, paths in codecs.items():
        path = _only(paths, f"a {kind} checkpoint", place)
        parts[kind] = CodecSource(path, _settings(path))
    return parts


def _folders(root: Path) -> Iterator[Path]:
    """`root` and the folders in it, a few levels deep; hidden ones are left out."""
    for folder, names, _ in os.walk(root):
        path = Path(folder)
        depth = len(path.relative_to(root).parts)
        names[:] = sorted(name for name in names if not name.startswith(".")) if depth < MAX_DEPTH else []
        yield path


def _near(language: Path) -> Iterator[Path]:
    """The `tokenizer` folders of the original layout: beside `models/7b`, or one level further up."""
    for parent in list(language.parents)[:3]:
        if (parent / "tokenizer").is_dir():
            yield parent / "tokenizer"
            return


def _is_language(folder: Path) -> bool:
    if (folder / "params.json").is_file() and any(folder.glob("consolidated*.pth")):
        return True
    if (folder / "config.json").is_file() and any((folder / name).is_file() for name in HF_WEIGHTS):
        return read_json(folder / "config.json").get("model_type") == "chameleon"
    return False


def _text_tokenizers(language: Path, folders: Sequence[Path]) -> list[Path]:
    """Tokenizer files, the model's own folder first."""
    ordered = [language, *(folder for folder in folders if folder != language)]
    paths = (folder / name for folder in ordered for name in TEXT_TOKENIZER_NAMES)
    return [path for path in paths if path.is_file()]


def _codec_files(folder: Path) -> list[Path]:
    """Files that may be a codec; a language model's own shards are not opened."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix in CODEC_SUFFIXES and path.is_file() and not path.name.startswith("consolidated")
    )


def _codec_kind(path: Path, trust_pickle: bool) -> str | None:
    values = load_pickle(path, trust_pickle)
    if not isinstance(values, dict):
        return None  # a bare tensor, such as a codebook kept for training
    names = values.get("state_dict", values)
    return next((kind for name, kind in KINDS.items() if name in names), None)


def _settings(checkpoint: Path) -> dict[str, Any]:
    """The yaml of the checkpoint's name, or else the only one beside it."""
    beside = sorted(checkpoint.parent.glob("*.yaml"))
    named = [path for path in beside if path.stem == checkpoint.stem]
    for path in named or (beside if len(beside) == 1 else []):
        try:
            return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise CheckpointError(f"expected a yaml file, got {path}: {error}") from error
    return {}


def _only(paths: Sequence[Path], what: str, place: Path) -> Path:
    if len(paths) > 1:
        names = ", ".join(str(path) for path in paths)
        raise CheckpointError(f"expected {what} in {place}, got {len(paths)}: {names}; name one of them")
    return paths[0]
