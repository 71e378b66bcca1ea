"""Recipes: yaml files read into frozen dataclasses; an unknown key is an error that names the nearest."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import yaml

from ar_omni.errors import AROmniError, InputError
from ar_omni.training.lora import LoraOptions
from ar_omni.training.objective import ObjectiveOptions
from ar_omni.training.optimization import LoopOptions

T = TypeVar("T")
NUMBERS = {int: int, float: (int, float)}
"""yaml reads 6e-5, without the dot, as text."""


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
    groups: Sequence[str] = ()
    """Groups of things that are drawn and described; empty for all."""
    unconditional: float = 0.1
    """Share of the drawings that are learned without their prompt, for guidance."""
    cuts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """task -> end -> share of its rows that are learned no further; see `ar_omni.training.cuts`."""
    seed: int = 0


@dataclass(frozen=True)
class SourceOptions:
    """One kind of token shards."""

    shards: str
    """A glob pattern of Parquet files, from `train/tokenize_data.py` or as published."""
    share: float = 1.0
    """Rows taken from here, in proportion to the other sources' shares."""


@dataclass(frozen=True)
class TuneRecipe:
    """Training that begins with a checkpoint: pretraining at scale, fine-tuning, LoRA."""

    data: Mapping[str, SourceOptions]
    loop: LoopOptions
    model: str | None = None
    """A checkpoint folder or hub id; none is the bundled nano."""
    objective: ObjectiveOptions = field(default_factory=ObjectiveOptions)
    tokens_per_batch: int = 2048
    """Ids in one step, padding included, over all processes and accumulated batches."""
    max_length: int | None = None
    """Longer rows are left out; none is what the model can read."""
    packing: bool = False
    """Let conversations share rows of at most `max_length` ids; none reads another."""
    loss_weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """task -> role -> weight as a target; what is not listed weighs 1."""
    unconditional: float = 0.1
    """Share of the drawings that are learned without their prompt, for guidance."""
    norm_position: str | None = None
    """"pre" or "post" changes where the model normalises; none leaves it."""
    lora: LoraOptions = field(default_factory=LoraOptions)
    held_out: str | None = None
    """A glob pattern of shards whose loss is logged at each save."""
    held_out_rows: int = 64
    samples: Sequence[Mapping[str, str]] = ()
    """What to reply to at each save: `{task: speak, text: hello}`, or with `image` or `audio`, a path."""
    seed: int = 0


def load_recipe(path: str | PathLike, kind: type[T] = Recipe, changes: Sequence[str] = ()) -> T:
    """Reads a yaml recipe.

    Args:
        path: of the yaml file.
        kind: the dataclass that says which keys there are.
        changes: what to change of it, such as "loop.steps=300"; values are read as yaml.

    Raises:
        InputError: no such file, or an unknown or missing key; the message names the nearest key that exists.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"expected a yaml recipe in {path}, got {error}") from error
    for change in changes:
        _change(values, change)
    return _build(kind, values, str(path))


def add_changes(parser: argparse.ArgumentParser) -> None:
    """Gives a script `--set KEY=VALUE ...`, the `changes` of `load_recipe`."""
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="changes of the recipe: loop.steps=300"
    )


def _change(values: Any, change: str) -> None:
    name, equals, text = change.partition("=")
    *outer, last = name.split(".")
    for key in outer:
        values = values.setdefault(key, {}) if isinstance(values, dict) else None
    if not equals or not isinstance(values, dict):
        raise InputError(f"expected a change such as loop.steps=300, got {change!r}")
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"expected a yaml value in {change!r}, got {error}") from error


def _build(kind: type[T], values: Any, where: str) -> T:
    if not isinstance(values, Mapping):
        raise InputError(f"expected a mapping of keys in {where}, got {type(values).__name__}")
    fields = {item.name: item for item in dataclasses.fields(kind)}
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1) or [", ".join(fields)]
            raise InputError(f"unknown key {key!r} in {where}; did you mean {near[0]}?")
    types = get_type_hints(kind)
    built = {key: _value(types[key], value, f"{where}: {key}") for key, value in values.items()}
    try:
        return kind(**built)
    except TypeError as error:
        raise InputError(f"expected all keys of {kind.__name__} in {where}, got {error}") from error


def _value(kind: Any, value: Any, where: str) -> Any:
    """A value of a field: a dataclass, a mapping from names to dataclasses, or as it is."""
    if dataclasses.is_dataclass(kind):
        return _build(kind, value, where)
    if kind in NUMBERS and (isinstance(value, bool) or not isinstance(value, NUMBERS[kind])):
        example = "6.0e-05" if kind is float else "100"
        raise InputError(f"expected a number such as {example} in {where}, got {value!r}")
    inner = get_args(kind)[-1:]
    if inner and dataclasses.is_dataclass(inner[0]) and isinstance(value, Mapping):
        return {name: _build(inner[0], item, f"{where}: {name}") for name, item in value.items()}
    return value


def one_line_errors(main: Callable[[], None]) -> Callable[[], None]:
    """A script's `main` that ends with one line and status 1 where the package or a disk refuses."""

    @functools.wraps(main)
    def run() -> None:
        try:
            main()
        except AROmniError as error:
            reason = str(error)
        except OSError as error:
            reason = (
                f"expected files to read and room to write, got {error}; what was saved before is whole: "
                "start again when that is mended"
            )
        else:
            return
        sys.exit(f"{Path(sys.argv[0]).name}: {' '.join(reason.split())}")

    return run
