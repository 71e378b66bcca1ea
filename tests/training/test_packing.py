"""Packing: conversations that share a row are learned as if each had its own."""

import random
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch

from ar_omni.errors import InputError
from ar_omni.training import tuning
from ar_omni.training.arguments import SourceOptions, TuneRecipe
from ar_omni.training.context import spread
from ar_omni.training.data import pooled
from ar_omni.training.mixture import Source, mixture
from ar_omni.training.objective import Objective, ObjectiveOptions, Row, pack_rows, pad_rows
from ar_omni.training.optimization import LoopOptions
from ar_omni.training.reading import UNKNOWN

TERMS = ObjectiveOptions(perceptual=0.1, z=0.01, reading=0.5, preview=0.5)


@pytest.fixture
def rows(vocabulary, processor):
    """A written, a drawn, a spoken and a mixed conversation; each begins with what weighs something."""
    picture = {"type": "image", "codes": [1, 2, 3, 4, 5, 6, 7, 8, 0]}
    audio = {"type": "audio", "codes": list(range(20))}
    replies = {"describe": "a fox", "draw": [picture], "speak": [audio]}
    replies["chat"] = [{"type": "text", "text": "here"}, audio, picture]
    found = []
    for task, reply in replies.items():
        user = [picture] if task == "describe" else "the dog"
        turns = [{"role": "user", "content": user}, {"role": "assistant", "content": reply}]
        example = processor.encode_example(turns, task)
        spoken = [i in range(vocabulary.speech.start, vocabulary.speech.stop) for i in example.input_ids]
        letters = [vocabulary.text.start + k % 7 if said else UNKNOWN for k, said in enumerate(spoken)]
        found.append(Row(example.input_ids, example.loss_weights({task: {"text": 2.0}}), letters))
    return found


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_sharing_a_row_changes_no_loss_and_no_gradient(make_model, vocabulary, rows, attention):
    objective = Objective(make_model(image_embedding_dim=8), vocabulary, torch.randn(16, 8), TERMS)
    objective.model.set_attn_implementation(attention)

    def learned(batch):
        objective.zero_grad()
        sums, counts = objective(**batch), objective.counts(batch)
        assert all(sums[name] == count for name, count in counts.items())
        objective.total(sums, counts).backward()
        return sums, {name: value.grad.clone() for name, value in objective.named_parameters()}

    text, drawn, spoken, mixed = rows
    packed = pack_rows([[text, mixed, drawn], [spoken], [mixed, text]], vocabulary.pad_id)
    apart = pad_rows([text, mixed, drawn, spoken, mixed, text], vocabulary.pad_id)
    assert packed["input_ids"].numel() < apart["input_ids"].numel()
    (sums, gradients), (expected, others) = learned(packed), learned(apart)
    assert sums["pictures"] and sums["spoken"] and sums["images"]
    for name, value in expected.items():
        torch.testing.assert_close(sums[name], value, rtol=1e-4, atol=1e-3, msg=name)
    for name, value in others.items():
        torch.testing.assert_close(gradients[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_positions_begin_again_and_first_ids_are_no_targets(vocabulary):
    row = Row([7, 8, 9], [1.0, 2.0, 3.0], [5, 5, 5])
    batch = pack_rows([[row, row], [row]], pad_id=0)
    assert batch["input_ids"].tolist() == [[7, 8, 9, 7, 8, 9], [7, 8, 9, 0, 0, 0]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1, 2], [0, 1, 2, 3, 4, 5]]
    assert batch["loss_weights"].tolist() == [[0, 2, 3, 0, 2, 3], [0, 2, 3, 0, 0, 0]]
    assert batch["reading"].tolist() == [[UNKNOWN, 5, 5] * 2, [UNKNOWN, 5, 5] + [UNKNOWN] * 3]
    assert "position_ids" not in pad_rows([row, row], 0)


def stream(seed=0):
    """`batch_at` of two parts a step, of rows that hold their number as often as they are long."""
    rng = random.Random(0)
    lengths = np.array([rng.randint(2, 60) for _ in range(500)])
    source = Source("a", lengths, lambda i, rng: Row([i + 1] * int(lengths[i]), [1.0] * int(lengths[i])))
    return pooled(mixture([source], 512, 2, seed), 2, 0, seed, packed=128), lengths


def test_packed_batches_hold_whole_rows_and_hardly_any_padding():
    batch_at, lengths = stream()
    batches = [batch_at(step, part) for step in range(16) for part in range(2)]
    padding = 0
    for batch in batches:
        ids = batch["input_ids"]
        assert ids.shape[1] <= 128 and len(ids) < 8
        padding += int((ids == 0).sum())
        for number, place in zip(ids.flatten(), batch["position_ids"].flatten(), strict=True):
            assert not number or place < lengths[number - 1]
        counted = ids[ids > 0].bincount()
        assert all(counted[number] % lengths[number - 1] == 0 for number in counted.nonzero().flatten())
    assert padding < 0.05 * sum(batch["input_ids"].numel() for batch in batches)


def test_a_packed_batch_follows_from_its_number():
    (first, _), (second, _), (other, _) = stream(), stream(), stream(seed=1)
    in_order = [first(step, part) for step in range(20) for part in range(2)]
    for name, values in second(13, 1).items():
        assert torch.equal(values, in_order[27][name])
    assert not torch.equal(other(13, 1)["input_ids"], in_order[27]["input_ids"])


def test_the_recipe_packs_rows_of_at_most_its_length(make_model, processor, tmp_path, monkeypatch, capsys):
    rows = [[20] * length for length in (5, 9, 9, 40, 7)] * 4
    datasets.Dataset.from_dict({"input_ids": rows, "labels": rows}).to_parquet(tmp_path / "rows.parquet")
    recipe = TuneRecipe(
        data={"mine": SourceOptions(str(tmp_path / "*.parquet"))},
        loop=LoopOptions(steps=2),
        tokens_per_batch=96,
        max_length=32,
        packing=True,
    )
    batches = []
    monkeypatch.setattr(tuning, "train", lambda objective, batch_at, *_: batches.append(batch_at(1, 0)))
    alone = SimpleNamespace(is_main_process=True, num_processes=1, parallelism_config=None)
    tuning.tune(make_model(), processor, recipe, tmp_path, alone, None)
    assert "4 of 20 rows are left out: empty, or longer than 32 ids" in capsys.readouterr().out
    ids, places = batches[0]["input_ids"], batches[0]["position_ids"]
    assert ids.shape[1] <= 32 and (places[ids == 20] < 9).all()
    assert (places == 0).sum() > len(ids)


def test_context_parallelism_refuses_shared_rows(make_model, vocabulary, rows):
    two = SimpleNamespace(parallelism_config=SimpleNamespace(cp_size=2))
    objective = Objective(make_model(), vocabulary, None, ObjectiveOptions())
    batch = pack_rows([rows], vocabulary.pad_id)
    with pytest.raises(InputError, match="without packing"), spread(two, objective, batch):
        pass
