"""From jsonl to shards to rows: what is written is read, bad lines are named, and a stopped run goes on."""

import json
import random
import re

import datasets
import numpy as np
import pytest
import torch

from ar_omni.errors import CheckpointError, InputError
from ar_omni.training.conversations import encode_line
from ar_omni.training.data import POOL_STEPS, pooled
from ar_omni.training.mixture import Source, mixture
from ar_omni.training.objective import Row
from ar_omni.training.shards import Shards, as_row, without_prompt
from ar_omni.training.tokenization import tokenize
from ar_omni.vocabulary import Vocabulary

TABLE = {"speak": {"prompt": 0.0, "speech": 2.0}}


def lines(tone, picture, folder):
    tone.save(folder / "a.wav")
    picture.save(folder / "a.png")
    audio, image = {"type": "audio", "audio": "a.wav"}, {"type": "image", "image": "a.png"}
    said = {"type": "transcript", "text": "what is that"}
    pairs = [
        ("speak", "the fox", [audio]),
        ("draw", "a fox", [image]),
        ("describe", [image], "a fox"),
        ("transcribe", [audio], [said]),
        ("chat", [audio], [said, {"type": "text", "text": "a dog"}, image, audio]),
    ]
    for task, user, reply in pairs * 3:
        messages = [{"role": "user", "content": user}, {"role": "assistant", "content": reply}]
        yield json.dumps({"task": task, "messages": messages, "note": "ignored"})


@pytest.fixture
def source(tmp_path, tone, picture):
    path = tmp_path / "talk.jsonl"
    path.write_text("\n".join(lines(tone, picture, tmp_path)) + "\n")
    return path


@pytest.fixture
def shards(source, checkpoint, tmp_path, vocabulary):
    assert list(tokenize(source, tmp_path / "shards", checkpoint, rows_per_shard=4)) == []
    return Shards.open(tmp_path / "shards" / "*.parquet", vocabulary)


def test_rows_are_the_processors(shards, source, processor, tone, picture):
    assert len(shards) == 15
    assert len(list(source.parent.glob("shards/*.parquet"))) == 4
    message = [{"role": "user", "content": "the fox"}, {"role": "assistant", "content": tone}]
    expected = processor.encode_example(message, "speak")
    record = shards.record(0)
    assert (record["input_ids"], record["roles"], record["line"]) == (expected.input_ids, expected.roles, 1)
    assert as_row(record, TABLE)[:2] == (expected.input_ids, expected.loss_weights(TABLE))
    assert shards.lengths[0] == len(expected.input_ids)
    drawn = [{"role": "user", "content": "a fox"}, {"role": "assistant", "content": picture}]
    unconditional = processor.encode_example(drawn, "draw", unconditional=True)
    prompt = processor.encode_unconditional(drawn)[-1]
    found = without_prompt(shards.record(1), prompt)
    assert (found["input_ids"], found["roles"]) == (unconditional.input_ids, unconditional.roles)


def test_the_documented_lines_are_encoded(pytestconfig, processor, tone, picture, tmp_path):
    page = (pytestconfig.rootpath / "docs/training.md").read_text(encoding="utf-8")
    (tmp_path / "clips").mkdir()
    for number in (1, 2, 3):
        tone.save(tmp_path / f"clips/{number}.wav")
    picture.save(tmp_path / "teapot.png")
    examples = [
        encode_line(line, tmp_path, processor)
        for line in re.search(r"```json\n(.*?)```", page, re.S)[1].splitlines()
    ]
    assert {example.task for example in examples} == set(processor.template.tasks)


def test_bad_lines_are_named_and_left_out(source, checkpoint, tmp_path, vocabulary):
    bad = [
        "{",
        '{"mesages": []}',
        '{"messages": [{"role": "user", "content": "hi"}]}',
        '{"task": "sing", "messages": [{"role": "user", "content": "a"},'
        ' {"role": "assistant", "content": "b"}]}',
        '{"messages": [{"role": "user", "content": [{"type": "audio", "audio": "none.wav"}]},'
        ' {"role": "assistant", "content": "b"}]}',
    ]
    source.write_text("\n".join([*bad, *source.read_text().splitlines()[:2]]))
    found = list(tokenize(source, tmp_path / "out", checkpoint, rows_per_shard=3))
    assert [line.split(": ")[0] for line in found] == [f"talk.jsonl:{number}" for number in range(1, 6)]
    for line, word in zip(found, ("json", "mesages", "assistant", "sing", "none.wav"), strict=True):
        assert word in line
    shards = Shards.open(tmp_path / "out" / "*.parquet", vocabulary)
    assert [shards.record(index)["line"] for index in range(len(shards))] == [6, 7]
    assert list(tokenize(source, tmp_path / "out", checkpoint, rows_per_shard=3)) == found


def test_a_stopped_run_goes_on(source, checkpoint, tmp_path):
    out = tmp_path / "out"
    list(tokenize(source, out, checkpoint, rows_per_shard=4))
    whole = {path.name: path.read_bytes() for path in out.glob("*.parquet")}
    (out / "00002.parquet").unlink()
    before = (out / "00001.parquet").stat().st_mtime_ns
    list(tokenize(source, out, checkpoint, rows_per_shard=4))
    assert (out / "00001.parquet").stat().st_mtime_ns == before
    assert {path.name: path.read_bytes() for path in out.glob("*.parquet")} == whole
    with pytest.raises(InputError, match="another rows_per_shard"):
        list(tokenize(source, out, checkpoint, rows_per_shard=5))
    with pytest.raises(InputError, match="does not exist"):
        list(tokenize(source.with_name("no.jsonl"), out, checkpoint))


@pytest.mark.slow
def test_workers_write_what_one_process_writes(source, checkpoint, tmp_path):
    for workers in (1, 2):
        list(tokenize(source, tmp_path / str(workers), checkpoint, workers, rows_per_shard=6))
    for path in (tmp_path / "1").glob("*.parquet"):
        assert path.read_bytes() == (tmp_path / "2" / path.name).read_bytes()


def test_published_data_is_read_as_it_is(tmp_path, vocabulary):
    rows = {"input_ids": [[0, 20, 30, 2], [0, 21, 2]], "labels": [[-100, -100, 30, 2], [-100, 21, 2]]}
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "published.parquet")
    shards = Shards.open(tmp_path / "published.parquet", vocabulary)
    assert as_row(shards.record(0), TABLE)[:2] == ([0, 20, 30, 2], [0.0, 0.0, 1.0, 1.0])
    assert list(shards.lengths) == [4, 3]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"input_ids": [[0, 10**6]], "labels": [[-100, 10**6]]}, "another vocabulary"),
        ({"input_ids": [[0, 5]], "labels": [[-100, 6]]}, "at their place"),
        ({"input_ids": [[0, 5]], "labels": [[5]]}, "at their place"),
    ],
)
def test_bad_rows_are_refused(tmp_path, vocabulary, rows, message):
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "bad.parquet")
    with pytest.raises(InputError, match=message):
        Shards.open(tmp_path / "bad.parquet", vocabulary).record(0)


def test_bad_files_are_refused(shards, source, tmp_path, vocabulary):
    with pytest.raises(InputError, match="no file that matches"):
        Shards.open(tmp_path / "none-*.parquet", vocabulary)
    datasets.Dataset.from_dict({"ids": [[1]]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError, match="expected the columns"):
        Shards.open(tmp_path / "other.parquet", vocabulary)
    whole = (tmp_path / "shards" / "00001.parquet").read_bytes()
    with pytest.raises(CheckpointError, match="tokenize_data"):
        Shards.open(tmp_path / "shards" / "*.parquet", Vocabulary.nano(99, 16, 32))
    for size in (len(whole) // 2, 3):
        (tmp_path / "shards" / "00001.parquet").write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"00001.parquet.*make it again"):
            Shards.open(tmp_path / "shards" / "*.parquet", vocabulary)


def counted(name, lengths, **options):
    """A source whose rows hold their number, so that a test can see which came."""
    number = sum(map(ord, name)) * 10_000
    return Source(
        name, np.array(lengths), lambda i, rng: Row([number + i] * lengths[i], [1.0] * lengths[i]), **options
    )


def numbers(fill, pools):
    return [row.ids[0] for pool in pools for row in fill(random.Random(0), pool)]


def test_every_row_comes_once_an_epoch_in_the_proportions():
    a, b = counted("a", [4] * 30), counted("b", [4] * 300, share=2.0)
    fill = mixture([a, b], tokens=8, parts=2)
    seen = numbers(fill, range(5))
    of_a = [number for number in seen if number < 97 * 10_000 + 30]
    assert abs(len(of_a) * 3 - len(seen)) <= 3
    assert abs(len(seen) - 5 * POOL_STEPS * 2 * 2) <= 2
    assert sorted(of_a[:30]) == [970_000 + i for i in range(30)]
    assert of_a[:10] != sorted(of_a[:10]) and of_a[30:40] != of_a[:10]
    assert numbers(fill, [3]) == seen[len(numbers(fill, range(3))) :][: len(numbers(fill, [3]))]
    assert numbers(mixture([a, b], 8, 2, seed=1), [0]) != numbers(fill, [0])


def test_long_and_empty_rows_are_left_out():
    source = counted("a", [4, 0, 9, 1, 5], max_length=5)
    assert source.left_out == 3
    assert set(numbers(mixture([source], 10, 1), [0, 1])) == {970_000, 970_004}
    with pytest.raises(InputError, match="got 0 of 2 rows"):
        counted("a", [40, 0], max_length=5)


def test_batches_of_a_mixture_are_made_again_from_their_number():
    rng = random.Random(0)
    sources = [counted("a", [rng.randint(2, 60) for _ in range(90)]), counted("b", [7] * 9, share=0.3)]
    make = lambda: pooled(mixture(sources, 128, 2), 2, 0)  # noqa: E731
    first, second = make(), make()
    in_order = [first(step, part)["input_ids"] for step in range(30) for part in range(2)]
    assert torch.equal(second(21, 1)["input_ids"], in_order[43])
    sizes = [ids.numel() for ids in in_order]
    assert 100 < sum(sizes) / len(sizes) < 160
    padding = 1 - sum((ids != 0).sum() for ids in in_order) / sum(sizes)
    assert padding < 0.1


@pytest.mark.parametrize("packed", [0, 500])
def test_rows_longer_than_a_batch_still_fill_every_batch(packed):
    batch_at = pooled(mixture([counted("a", [3, 3, 50, 400])], 4, 3), 3, 0, packed=packed)
    assert all(batch_at(step, part)["input_ids"].numel() for step in range(16) for part in range(3))
