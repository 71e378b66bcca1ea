"""From jsonl for people to token shards for the machine: in parallel, restartable, bad lines reported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ar_omni.errors import InputError, import_extra
from ar_omni.media import replacing
from ar_omni.processing import Processor
from ar_omni.training.conversations import encode_line
from ar_omni.training.shards import ABOUT_NAME


@dataclass(frozen=True)
class Job:
    """One shard: `rows` lines of `source` from the byte `offset` on, where line number `line` begins."""

    source: Path
    offset: int
    line: int
    rows: int
    checkpoint: Path
    target: Path

    @property
    def report(self) -> Path:
        """Where the lines that were left out are told."""
        return self.target.with_suffix(".skipped")


def tokenize(
    source: Path, target: Path, checkpoint: Path, workers: int = 1, rows_per_shard: int = 1000
) -> Iterator[str]:
    """Writes `target/00000.parquet` ... and yields a line of text for each line of `source` left out.

    Shards that are there already are kept, so a stopped run continues where it was; each shard is written
    whole or not at all.

    Args:
        source: a jsonl file as `ar_omni.training.conversations` describes it.
        target: folder of the shards.
        checkpoint: folder of the checkpoint whose processor makes the ids.
        workers: processes at work, each with one thread.
        rows_per_shard: lines a shard.

    Raises:
        InputError: no such file, or a folder with the shards of another file, checkpoint or size.
    """
    if not source.is_file():
        raise InputError(f"expected a jsonl file, got {source}, which does not exist")
    about = {
        "source": source.name,
        "bytes": source.stat().st_size,
        "rows_per_shard": rows_per_shard,
        "vocabulary": Processor.from_pretrained(checkpoint).vocabulary.to_dict(),
    }
    _claim(target, about)
    jobs = list(_jobs(source, target, checkpoint, rows_per_shard))
    missing = [job for job in jobs if not job.target.exists()]
    bar = partial(tqdm, total=len(jobs), initial=len(jobs) - len(missing), desc=source.name, unit="shard")
    if workers == 1:
        list(bar(map(write_shard, missing)))
    else:
        with ProcessPoolExecutor(workers, get_context("spawn"), _one_thread) as pool:
            list(bar(pool.map(write_shard, missing)))
    for job in jobs:
        if job.report.exists():
            yield from job.report.read_text(encoding="utf-8").splitlines()


def _claim(target: Path, about: dict[str, Any]) -> None:
    """Notes in the folder what its shards are made of, or finds that they are of something else."""
    path = target / ABOUT_NAME
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        differing = [name for name, value in about.items() if found.get(name) != value]
        if differing:
            raise InputError(
                f"expected an empty folder or the shards of the same data, got {target} with another "
                f"{' and '.join(differing)}; choose another folder"
            )
        return
    target.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _jobs(source: Path, target: Path, checkpoint: Path, rows: int) -> Iterator[Job]:
    with source.open("rb") as lines:
        offset = 0
        for number, line in enumerate(lines):
            if number % rows == 0:
                yield Job(
                    source, offset, number + 1, rows, checkpoint, target / f"{number // rows:05d}.parquet"
                )
            offset += len(line)


def write_shard(job: Job) -> None:
    """Encodes the lines of one shard and writes it, the report of what was left out first."""
    datasets = import_extra("datasets", "train")
    integers = {"input_ids": "int32", "roles": "int8"}
    features = {name: datasets.List(datasets.Value(kind)) for name, kind in integers.items()}
    features |= {"task": datasets.Value("string"), "line": datasets.Value("int64")}
    columns: dict[str, list] = {name: [] for name in features}
    skipped = []
    processor = _processor(job.checkpoint)
    with job.source.open("rb") as lines:
        lines.seek(job.offset)
        for number, line in zip(range(job.line, job.line + job.rows), lines, strict=False):
            try:
                example = encode_line(line, job.source.parent, processor)
            except (InputError, OSError) as error:
                skipped.append(f"{job.source.name}:{number}: {error}")
                continue
            row = {
                "input_ids": example.input_ids,
                "roles": example.roles,
                "task": example.task,
                "line": number,
            }
            for name, value in row.items():
                columns[name].append(value)
    if skipped:
        with replacing(job.report) as temporary:
            temporary.write_text("\n".join(skipped) + "\n", encoding="utf-8")
    shard = datasets.Dataset.from_dict(columns, datasets.Features(features))
    with replacing(job.target) as temporary:
        shard.to_parquet(temporary)


@cache
def _processor(checkpoint: Path) -> Processor:
    """This process's processor: the tokenizers load once."""
    return Processor.from_pretrained(checkpoint)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
