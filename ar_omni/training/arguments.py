"""Recipes: yaml files read into frozen dataclasses; a key that no dataclass has is an error that names the nearest."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from ar_omni.errors import InputError
from ar_omni.training.loop import LoopOptions
from ar_omni.training.objective import ObjectiveOptions

T = TypeVar("T")


@dataclass(frozen=True)
class DecoderShape:
    """Geometry of a decoder that is trained from nothing; heads are 64 wide."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_key_value_heads: int = 2
    norm_position: str = "pre"
    max_position_embeddings: int = 2048


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a pretraining run, apart from the data folder."""

    decoder: DecoderShape
    loop: LoopOptions
    objective: ObjectiveOptions = field(default_factory=ObjectiveOptions)
    tokens_per_batch: int = 1024
    """Ids in one step, padding included, over all processes."""
    loss_weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """task -> role -> weight as a target; what is not listed weighs 1."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """task -> how often it is drawn; empty for the world's own shares."""
    unconditional: float = 0.1
    """Share of the drawings that are learned without their prompt, for guidance."""
    seed: int = 0


def load_recipe(path: str | PathLike) -> Recipe:
    """Reads a yaml recipe.

    Raises:
        InputError: an unknown or missing key; the message names the nearest key that exists.
    """
    return _build(Recipe, yaml.safe_load(Path(path).read_text(encoding="utf-8")), str(path))


def _build(kind: type[T], values: Any, where: str) -> T:
    if not isinstance(values, Mapping):
        raise InputError(f"expected a mapping of keys in {where}, got {type(values).__name__}")
    fields = {item.name: item for item in dataclasses.fields(kind)}
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1) or [", ".join(fields)]
            raise InputError(f"unknown key {key!r} in {where}; did you mean {near[0]}?")
    types = get_type_hints(kind)
    built = {
        key: _build(types[key], value, f"{where}: {key}") if dataclasses.is_dataclass(types[key]) else value
        for key, value in values.items()
    }
    try:
        return kind(**built)
    except TypeError as error:
        raise InputError(f"expected all keys of {kind.__name__} in {where}, got {error}") from error
