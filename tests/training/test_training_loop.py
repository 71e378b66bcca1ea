"""Training resumes exactly, parts of a batch add up to the whole, and failures leave what was saved."""

import json
import math
import random
from types import SimpleNamespace

import accelerate
import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch.distributed import checkpoint as distributed_checkpoint

from ar_omni.errors import AROmniError, CheckpointError, InputError
from ar_omni.training import loop
from ar_omni.training.checkpoints import Checkpoints, exported
from ar_omni.training.data import batches, pooled
from ar_omni.training.loop import train
from ar_omni.training.mixture import Source, mixture
from ar_omni.training.objective import Objective, ObjectiveOptions, Row, pad_rows
from ar_omni.training.optimization import OPTIMIZERS, LoopOptions, make_optimizers

STEPS = 12


def _row(vocabulary):
    def row(rng: random.Random, progress: float):
        ids = [vocabulary.bos_id, *(rng.randrange(16, vocabulary.size) for _ in range(rng.randint(3, 30)))]
        return Row(ids, [rng.choice((0.0, 1.0, 2.0)) for _ in ids])

    return row


class _Killed(Exception):
    pass


@pytest.fixture
def run(make_model, vocabulary, tmp_path):
    """`run(*stops, parts=1, ...)`: trains to each of `stops`, each time from a fresh model."""

    def start(
        *stops,
        name="run",
        parts=1,
        batch_at=None,
        model=make_model,
        held_out=(),
        dropout=0.0,
        accelerator=None,
        **options,
    ):
        accelerator = accelerator or Accelerator(cpu=True)
        options = LoopOptions(
            **{"steps": STEPS, "warmup": 2, "learning_rate": 1e-2, "save_every": 5} | options
        )
        batch_at = batch_at or batches(_row(vocabulary), STEPS, 64, parts, vocabulary.pad_id)
        for stop in stops or (STEPS,):
            trained = model(image_embedding_dim=8, attention_dropout=dropout)
            embedding = torch.ones(len(vocabulary.image), 8)
            objective = Objective(trained, vocabulary, embedding, ObjectiveOptions(0.01, 0.01))

            def kill(model, state, step, stop=stop):
                if step == stop < STEPS:
                    raise _Killed

            try:
                train(objective, batch_at, options, tmp_path / name, accelerator, kill, held_out)
            except _Killed:
                continue
        return objective.model.state_dict()

    return start


def _same(first, second, **tolerance):
    for name in first:
        torch.testing.assert_close(first[name], second[name], **{"rtol": 0, "atol": 0} | tolerance, msg=name)


def _log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_killed_run_ends_with_the_same_weights(run, make_model, optimizer):
    options = {"optimizer": optimizer, "ema": 0.9, "dropout": 0.1, "accumulation": 2, "parts": 2}
    whole = run(name="whole", **options)
    resumed = run(5, STEPS, name="resumed", **options)
    untrained = make_model(image_embedding_dim=8).state_dict()
    assert any(not torch.equal(whole[name], untrained[name]) for name in whole)
    _same(whole, resumed)


def test_a_killed_run_of_packed_rows_ends_with_the_same_weights(run, vocabulary):
    rng, row = random.Random(0), _row(vocabulary)
    rows = [row(rng, 0.0) for _ in range(40)]
    lengths = np.array([len(row.ids) for row in rows])
    fill = mixture([Source("rows", lengths, lambda index, _: rows[index])], 64, 1)
    batch_at = lambda: pooled(fill, 1, vocabulary.pad_id, packed=48)  # noqa: E731
    assert "position_ids" in batch_at()(6, 0)
    _same(run(name="whole", batch_at=batch_at()), run(5, STEPS, name="resumed", batch_at=batch_at()))


def test_batches_made_in_advance_are_those_of_their_step(run):
    options = {"accumulation": 2, "parts": 2}
    _same(run(name="in turn", **options), run(5, STEPS, name="in advance", workers=2, **options))


def test_an_error_of_a_worker_is_one_line(run):
    def bad(step, part):
        raise InputError("expected a whole shard, got half of one")

    with pytest.raises(InputError, match=r"\Aexpected a whole shard, got half of one\Z"):
        run(batch_at=bad, workers=1)


def test_gradients_are_clipped_before_the_step(run, make_model):
    """AdamW's steps do not depend on the scale of gradients, unless they fall below its epsilon."""
    options = {"steps": 2, "weight_decay": 0.0}
    moved = {
        clip: max(
            (after - before).abs().max()
            for before, after in zip(
                make_model(image_embedding_dim=8).state_dict().values(),
                run(name=f"clip-{clip}", clip=clip, **options).values(),
                strict=True,
            )
        )
        for clip in (1.0, 1e-12)
    }
    assert moved[1.0] > 1e-3 > 1e-5 > moved[1e-12] > 0


def test_a_bar_tells_the_steps_and_losses(run, capsys):
    run()
    told = capsys.readouterr().err
    assert f"{STEPS}/{STEPS}" in told and "ntp=" in told


def test_accumulated_parts_are_one_big_batch(run, vocabulary, tmp_path):
    parts = batches(_row(vocabulary), STEPS, 64, 3, vocabulary.pad_id)

    def joined(step, part):
        rows = [
            Row(*columns)
            for k in range(3)
            for columns in zip(*(v.tolist() for v in parts(step, k).values()), strict=True)
        ]
        return pad_rows(rows, vocabulary.pad_id)

    tolerance = {"rtol": 1e-3, "atol": 1e-4}
    _same(run(name="a", batch_at=parts, accumulation=3), run(name="b", batch_at=joined), **tolerance)
    norms = [
        [row["gradient_norm"] for row in _log(tmp_path / name)] for name in "ab"
    ]  # before they are clipped
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


def test_bfloat16_multiplies_matrices_and_keeps_weights_whole(run, monkeypatch, tmp_path):
    run(name="plain", save_every=1)
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setattr(loop, "has_fast_bfloat16", lambda device: True)
    mixed = run(name="mixed", save_every=1, accelerator=loop.make_accelerator())
    assert all(value.dtype == torch.float32 for value in mixed.values())
    first, last = [[_log(tmp_path / name)[step]["ntp"] for name in ("plain", "mixed")] for step in (0, -1)]
    assert first[0] != first[1] == pytest.approx(first[0], rel=0.01)
    assert last[1] == pytest.approx(last[0], rel=0.05)


def test_activation_checkpointing_changes_nothing(run):
    _same(run(name="a"), run(name="b", activation_checkpointing=True), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_compiled_training_computes_the_same(run):
    _same(run(name="a"), run(name="b", compile=True), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("device", "whole"), [("cpu", True), ("cuda", False)])
def test_a_gpu_compiles_layers_and_a_cpu_the_whole_decoder(make_model, device, whole):
    decoder = (model := make_model()).model
    loop._compile(model, torch.device(device))
    assert (decoder._compiled_call_impl is not None) is whole
    assert all((layer._compiled_call_impl is None) is whole for layer in decoder.layers)
    assert (model.config._attn_implementation == "eager") is whole


def test_attention_that_plans_each_shape_is_left_out():
    loop.make_accelerator()
    assert not torch.backends.cuda.cudnn_sdp_enabled()


def test_every_parameter_has_one_optimizer(make_model, vocabulary):
    objective = Objective(
        make_model(image_embedding_dim=8),
        vocabulary,
        torch.ones(len(vocabulary.image), 8),
        ObjectiveOptions(0.1),
    )
    muon, adamw = make_optimizers(objective, LoopOptions(steps=1, optimizer="muon"))
    taken = [
        value for optimizer in (muon, adamw) for group in optimizer.param_groups for value in group["params"]
    ]
    assert len(taken) == len(set(taken)) == len(list(objective.parameters()))
    embedding = objective.model.get_input_embeddings().weight
    assert not any(value is embedding for group in muon.param_groups for value in group["params"])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_layers_may_learn_more_slowly_than_the_rest(run, optimizer):
    start, same, slow = (
        run(name=f"{rate}-{share}", optimizer=optimizer, steps=1, layer_rate=share, learning_rate=rate)
        for rate, share in ((0.0, 1.0), (1e-2, 1.0), (1e-2, 0.25))
    )

    def moved(weights, name):
        return float((weights[name] - start[name]).norm())

    matrix, embedding = "model.layers.0.mlp.up_proj.weight", "model.embed_tokens.weight"
    assert moved(slow, matrix) == pytest.approx(0.25 * moved(same, matrix), rel=0.05)
    assert moved(slow, embedding) == pytest.approx(moved(same, embedding), rel=1e-4)


def test_averages_and_held_out_figures_are_logged(run, vocabulary, tmp_path):
    held_out = [batches(_row(vocabulary), 9, 64, 1, vocabulary.pad_id, seed=9)(step, 0) for step in range(2)]
    run(name="plain", held_out=held_out)
    run(name="averaged", held_out=held_out, ema=0.99)
    plain, averaged = (_log(tmp_path / name) for name in ("plain", "averaged"))
    assert [row["step"] for row in plain] == [5, 10, 12]
    assert plain[-1]["ntp"] == averaged[-1]["ntp"]
    assert plain[-1]["held_out_ntp"] != averaged[-1]["held_out_ntp"]
    saved = sorted(path.name for path in (tmp_path / "plain" / "checkpoints").iterdir())
    assert saved == ["step-00000010", "step-00000012"]


def test_tensorboard_is_written(run, tmp_path):
    run(tensorboard=True)
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_a_loss_that_is_not_finite_stops_before_it_harms(run, vocabulary, tmp_path):
    good = batches(_row(vocabulary), STEPS, 64, 1, vocabulary.pad_id)

    def bad(step, part):
        batch = good(step, part)
        return batch if step < 7 else batch | {"loss_weights": batch["loss_weights"] + math.inf}

    with pytest.raises(AROmniError, match=r"at step 7; .*step-00000005 is unharmed"):
        run(batch_at=bad)
    _same(run(), run(name="whole"))


def test_a_full_disk_keeps_what_was_saved(run, tmp_path, monkeypatch):
    run(5)

    def full(state, checkpoint_id):
        (checkpoint_id / "part").write_text("x")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(distributed_checkpoint, "save", full)
    with pytest.raises(AROmniError, match="No space left on device; the step before"):
        run()
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000005"]


def test_a_full_disk_keeps_what_was_exported(tmp_path):
    with exported(tmp_path / "model") as folder:
        (folder / "weights").write_text("old")

    def write_half():
        with exported(tmp_path / "model") as folder:
            (folder / "weights").write_text("ne")
            raise OSError(28, "No space left on device")

    with pytest.raises(AROmniError, match=r"room for .*model, got .*No space left"):
        write_half()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "weights").read_text() == "old"
    with exported(tmp_path / "model") as folder:
        (folder / "weights").write_text("new")
    assert (tmp_path / "model" / "weights").read_text() == "new"


def test_another_models_checkpoint_is_refused(run, make_model, tmp_path):
    run(5)
    wider = lambda **changes: make_model(intermediate_size=64, **changes)  # noqa: E731
    with pytest.raises(CheckpointError, match=r"of this recipe in .*step-00000005"):
        run(model=wider)


def test_unfinished_checkpoints_are_not_read(tmp_path):
    for name in ("step-00000003", "step-00000009.partial", "other"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    saved = Checkpoints(tmp_path, 2, SimpleNamespace()).saved()
    assert [path.name for path in saved] == ["step-00000003"]


def test_schedules():
    def rates(**options):
        return [LoopOptions(steps=100, warmup=10, **options).rate(step) for step in (0, 9, 10, 55, 90, 99)]

    assert rates(decay=0.2) == pytest.approx([0.1, 1, 1, 1, 0.5, 0.05])
    assert rates(schedule="linear") == pytest.approx([0.1, 1, 1, 0.5, 1 / 9, 1 / 90])
    assert rates(schedule="cosine")[1:4] == pytest.approx([1, 1, 0.5])
    assert rates(schedule="cosine")[-1] < 0.001
    for wrong in ({"schedule": "square"}, {"optimizer": "sgd"}, {"keep": 0}, {"ema": 1.0}):
        with pytest.raises(InputError, match=str(*wrong)):
            LoopOptions(steps=9, **wrong)


def test_a_batch_depends_on_its_step_alone(vocabulary):
    make = lambda: batches(_row(vocabulary), 100, 64, 2, vocabulary.pad_id)  # noqa: E731
    first, second = make(), make()
    in_order = [first(step, 1)["input_ids"] for step in range(20)]
    assert torch.equal(second(17, 1)["input_ids"], in_order[17])
    assert not torch.equal(first(17, 0)["input_ids"], in_order[17])


def test_batches_are_about_equally_large(vocabulary):
    batch_at = batches(_row(vocabulary), 100, 200, 2, vocabulary.pad_id)
    made = [batch_at(step, process) for step in range(16) for process in range(2)]
    sizes = [
        len(batch["input_ids"]) * Objective.reach(batch["loss_weights"], batch["reading"]) for batch in made
    ]
    assert max(sizes) < 400 and min(sizes) > 100  # the shortest rows differ most from each other
