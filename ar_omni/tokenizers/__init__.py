"""Tokenizers: media -> codes and codes -> media, one class for each kind of codec."""

from __future__ import annotations

import json
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

from ar_omni.errors import CheckpointError

CONFIG_NAME = "config.json"

_CLASS_OF = {
    "sentencepiece": "text:SentencePieceTokenizer",
    "hf_tokenizer": "text:HFTokenizer",
    "nano_image": "image:NanoImageTokenizer",
    "nano_speech": "speech:NanoSpeechTokenizer",
    "vqgan": "vqgan:VQGANTokenizer",
    "wavtokenizer": "wavtokenizer:WavTokenizer",
}


def load_tokenizer(folder: str | PathLike) -> Any:
    """Load the tokenizer saved in `folder`, of whichever class its `config.json` names by "type".

    Raises:
        CheckpointError: no readable `config.json`, or a type that is not known.
    """
    path = Path(folder) / CONFIG_NAME
    try:
        kind = json.loads(path.read_text(encoding="utf-8"))["type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f'expected {path} to hold {{"type": ...}}, got {error!r}') from error
    if kind not in _CLASS_OF:
        raise CheckpointError(f"expected a tokenizer type of {', '.join(_CLASS_OF)}, got {kind!r} in {path}")
    module, name = _CLASS_OF[kind].split(":")
    return getattr(import_module(f"ar_omni.tokenizers.{module}"), name).load(folder)
