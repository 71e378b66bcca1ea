"""Token shards: Parquet files of rows, memory-mapped through `datasets`, each row at hand by its number."""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ar_omni.errors import CheckpointError, InputError, import_extra
from ar_omni.processing import ROLES, Example
from ar_omni.training.compat import IGNORED
from ar_omni.training.objective import Row
from ar_omni.vocabulary import Vocabulary

ABOUT_NAME = "shards.json"
"""Beside our own shards: what they were made of, and with which vocabulary."""

Weights = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Shards:
    """The rows of some Parquet files with the columns `input_ids` and either `task` and `roles`, or `labels`.

    Our own shards (`ar_omni.training.tokenization`) know the role of every id, and the recipe weighs roles.
    AR-Omni's published instruction data has labels instead: an id whose label is -100 weighs 0, others 1.

    Attributes:
        name: for messages.
        table: a `datasets.Dataset`.
        vocabulary: of the checkpoint that reads them.
        lengths: int64 (rows,), ids a row.
    """

    name: str
    table: Any
    vocabulary: Vocabulary
    lengths: np.ndarray = field(repr=False)

    @classmethod
    def open(cls, pattern: str, vocabulary: Vocabulary) -> Shards:
        """All rows of the files that match a glob pattern, in the order of their names.

        Raises:
            InputError: no such files, a damaged one, or one with other columns.
            CheckpointError: shards made with another vocabulary.
        """
        paths = sorted(glob.glob(str(pattern)))
        if not paths:
            raise InputError(f"expected Parquet shards, got no file that matches {pattern}")
        for path in paths:
            _check_columns(path)
        for folder in {Path(path).parent for path in paths}:
            _check_vocabulary(folder / ABOUT_NAME, vocabulary)
        datasets = import_extra("datasets", "train")
        datasets.disable_progress_bars()
        try:
            table = datasets.load_dataset("parquet", data_files=paths, split="train")
        except Exception as error:  # the reader raises errors of several libraries
            raise InputError(
                f"expected whole Parquet shards in {pattern}, got {error}; make the damaged one again"
            ) from error
        lengths = import_extra("pyarrow.compute", "train").list_value_length(table.data.column("input_ids"))
        return cls(str(pattern), table, vocabulary, lengths.to_numpy().astype(np.int64))

    def __len__(self) -> int:
        return len(self.lengths)

    def record(self, index: int) -> dict[str, Any]:
        """The columns of a row, checked.

        Raises:
            InputError: ids outside the vocabulary, or labels that are not the ids of their places.
        """
        record = self.table[index]
        ids, size = record["input_ids"], self.vocabulary.size
        if ids and not 0 <= min(ids) <= max(ids) < size:
            raise InputError(
                f"expected ids in [0, {size}), got {min(ids)} .. {max(ids)} in row {index} of {self.name}; "
                "it belongs to another vocabulary: tokenize the data with this checkpoint"
            )
        labels = record.get("labels", ids)
        if len(labels) != len(ids) or any(b not in (IGNORED, a) for a, b in zip(ids, labels, strict=True)):
            raise InputError(
                f"expected labels of {IGNORED} or the id at their place, got others in row {index} of "
                f"{self.name}; make it again"
            )
        return record


def as_row(record: Mapping[str, Any], weights: Weights) -> Row:
    """Ids, and the loss weight of each as a target.

    Args:
        record: of `Shards.record`.
        weights: task -> role -> weight; what is not listed weighs 1. Records with labels do not need it.
    """
    if "labels" in record:
        return Row(record["input_ids"], [float(label != IGNORED) for label in record["labels"]])
    example = Example(record["task"], record["input_ids"], record["roles"])
    return Row(example.input_ids, example.loss_weights(weights))


def without_prompt(record: Mapping[str, Any], prompt: list[int]) -> dict[str, Any]:
    """The record with `prompt` in place of what asked for the reply: the unconditional branch of guidance."""
    role = ROLES.index("prompt")
    kept = [(i, r) for i, r in zip(record["input_ids"], record["roles"], strict=True) if r != role]
    return {
        **record,
        "input_ids": [*prompt, *(i for i, _ in kept)],
        "roles": [role] * len(prompt) + [r for _, r in kept],
    }


def _check_columns(path: str) -> None:
    parquet = import_extra("pyarrow.parquet", "train")
    try:
        names = set(parquet.read_schema(path).names)
    except (OSError, ValueError) as error:
        raise InputError(f"expected a Parquet shard, got {path}: {error}; make it again") from error
    if not any(names >= needed for needed in ({"input_ids", "roles", "task"}, {"input_ids", "labels"})):
        raise InputError(
            f"expected the columns input_ids and labels, or input_ids, roles and task, in {path}, "
            f"got {', '.join(sorted(names))}"
        )


def _check_vocabulary(about: Path, vocabulary: Vocabulary) -> None:
    if not about.exists():
        return
    if json.loads(about.read_text(encoding="utf-8"))["vocabulary"] != vocabulary.to_dict():
        raise CheckpointError(
            f"expected shards made with this checkpoint's vocabulary, got another in {about}; "
            "run train/tokenize_data.py with this checkpoint"
        )
