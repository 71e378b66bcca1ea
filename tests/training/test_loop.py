"""Training resumes exactly, batches depend on the step alone, and a recipe's wrong key names the right one."""

import random

import pytest
import torch
from accelerate import Accelerator

from ar_omni.errors import InputError
from ar_omni.training.arguments import load_recipe
from ar_omni.training.data import batches
from ar_omni.training.loop import LoopOptions, train
from ar_omni.training.objective import Objective, ObjectiveOptions


def _row(vocabulary):
    def row(rng: random.Random, progress: float):
        ids = [vocabulary.bos_id, *(rng.randrange(16, vocabulary.size) for _ in range(rng.randint(3, 30)))]
        return ids, [1.0] * len(ids)

    return row


def _run(make_model, vocabulary, folder, *stops):
    """Trains to each of `stops` in turn, each time from a fresh model and the checkpoint on disk."""
    for steps in stops:
        objective = Objective(make_model(), vocabulary.image, torch.zeros(len(vocabulary.image), 8), ObjectiveOptions())
        options = LoopOptions(steps=12, save_every=steps, warmup=2)
        batch_at = batches(_row(vocabulary), 12, 64, 1, vocabulary.pad_id)

        class Killed(Exception):
            pass

        def kill(model, step, steps=steps):
            if step == steps < 12:
                raise Killed

        try:
            train(objective, batch_at, options, folder, Accelerator(cpu=True), kill)
        except Killed:
            continue
    return objective.model.state_dict()


def test_a_killed_run_ends_with_the_same_weights(make_model, vocabulary, tmp_path):
    whole = _run(make_model, vocabulary, tmp_path / "whole", 12)
    resumed = _run(make_model, vocabulary, tmp_path / "resumed", 5, 12)
    untrained = make_model().state_dict()
    assert any(not torch.equal(whole[name], untrained[name]) for name in whole)
    for name in whole:
        assert torch.equal(whole[name], resumed[name]), name


def test_a_batch_depends_on_its_step_alone(vocabulary):
    make = lambda: batches(_row(vocabulary), 100, 64, 2, vocabulary.pad_id)  # noqa: E731
    first, second = make(), make()
    in_order = [first(step, 1)["input_ids"] for step in range(20)]
    assert torch.equal(second(17, 1)["input_ids"], in_order[17])
    assert not torch.equal(first(17, 0)["input_ids"], in_order[17])


def test_batches_are_about_equally_large(vocabulary):
    batch_at = batches(_row(vocabulary), 100, 200, 2, vocabulary.pad_id)
    sizes = [batch_at(step, process)["input_ids"].numel() for step in range(16) for process in range(2)]
    assert max(sizes) < 320 and min(sizes) > 100


def test_a_wrong_key_names_the_nearest_right_one(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("decoder: {hidden_size: 64, intermediate_size: 128, num_hidden_layers: 1}\nloop: {steps: 3, lerning_rate: 1}\n")
    with pytest.raises(InputError, match="did you mean learning_rate"):
        load_recipe(path)


def test_the_shipped_recipe_loads(pytestconfig):
    recipe = load_recipe(pytestconfig.rootpath / "configs/nano.yaml")
    assert recipe.decoder.hidden_size % 64 == 0
