"""The published training arithmetic equals what the published code gave."""

from __future__ import annotations

import pytest
import torch
from goldens import arrays, golden, values

from ar_omni.errors import InputError
from ar_omni.tensor_files import load_pickle
from ar_omni.training import compat

EOS, BOI, IMAGE_START = 2, 8197, 4


def outputs():
    return values("losses/outputs.json")


def tensors(prefix: str) -> dict[str, torch.Tensor]:
    found = arrays("losses/outputs.npz")
    return {k.removeprefix(prefix): torch.from_numpy(v) for k, v in found.items() if k.startswith(prefix)}


def test_pretraining_batches():
    expected = outputs()["pretrain_collate"]
    batch = compat.collate(expected["samples"], pad_id=EOS)
    for name in ("input_ids", "labels", "attention_mask"):
        assert batch[name].tolist() == expected[name]


def test_fine_tuning_batches():
    expected = outputs()["sft_collate"]
    samples = [{"ids": ids, "labels": expected["labels"][name]} for name, ids in expected["rows"].items()]
    batch = compat.collate(samples, pad_id=EOS)
    assert batch["input_ids"].tolist() == expected["input_ids"]
    assert batch["labels"].tolist() == expected["labels_out"]
    assert batch["attention_mask"].tolist() == expected["attention_mask"]


def test_packed_meta():
    for case in outputs()["meta_packing"]:
        if "packed" in case:
            assert compat.pack_meta(case["task"], case["resp_len"]) == case["packed"]
            assert compat.unpack_meta(case["packed"]) == (case["task_id"], case["resp_len"])
        else:
            assert list(compat.unpack_meta(case["label0"])) == case["unpacked"]
    with pytest.raises(InputError, match="speech_to_speech"):
        compat.pack_meta("speech_to_speech", 1)


@pytest.mark.parametrize("weight", [1.0, 2.0, 3.5])
@pytest.mark.parametrize("from_meta", [False, True])
def test_pretraining_loss(weight, from_meta):
    expected, found = outputs(), tensors("pretrain.")
    collated = expected["pretrain_collate"]
    labels = torch.tensor(collated["labels"])
    tasks, responses = collated["tasks"], collated["resp_lens"]
    if from_meta:
        tasks, responses = tasks_of(labels)
    tail = compat.response_tail(labels, tasks, responses, EOS)
    assert torch.equal(tail, found["tail_mask_shifted"])
    weights = compat.target_weights(labels, tail, weight)
    if weight == 2.0:
        assert torch.equal(weights, found["weights_2.0"])
    loss = compat.ntp_loss(found["logits"], labels, weights)
    name = f"weight{weight}.from_{'meta' if from_meta else 'lists'}"
    assert loss.item() == pytest.approx(expected["pretrain"][name]["loss"], rel=1e-5)


def test_tail_without_eos():
    collated = outputs()["pretrain_collate"]
    labels = torch.tensor(collated["labels"])
    tail = compat.response_tail(labels, collated["tasks"], collated["resp_lens"], None)
    assert tail.int().tolist() == outputs()["pretrain_eos_none_tail_mask"]


def test_loss_of_nothing():
    labels = torch.full((2, 5), compat.IGNORED)
    weights = compat.target_weights(labels, torch.zeros(2, 4, dtype=torch.bool), 2.0)
    assert compat.ntp_loss(torch.randn(2, 5, 7), labels, weights).item() == outputs()["pretrain_all_ignored"]


@pytest.mark.parametrize("weight", [1.0, 3.0, 0.5])
def test_fine_tuning_loss(weight):
    expected, found = outputs(), tensors("sft.")
    ids = torch.tensor(expected["sft_collate"]["input_ids"])
    labels = torch.tensor(expected["sft_collate"]["labels_out"])
    inside = compat.inside_segments(ids, 70, 71)
    assert torch.equal(inside, found["inside_mask"])
    weights = compat.target_weights(labels, inside[:, 1:], weight)
    if weight == 3.0:
        assert torch.equal(weights, found["weights_3.0"])
    loss = compat.ntp_loss(found["logits"], labels, weights).item()
    assert loss == pytest.approx(expected["sft"][f"weight{weight}"]["loss"], rel=1e-5)


def tasks_of(labels):
    """Task names and response lengths as the first labels say."""
    meta = [compat.unpack_meta(label) for label in labels[:, 0].tolist()]
    names = [compat.TASKS[index] if index >= 0 else None for index, _ in meta]
    return names, [length for _, length in meta]


def perception(dtype=torch.float32):
    """Hidden states, logits, projector and codebook of the perceptual golden."""
    embedding = load_pickle(golden("losses/perception.ckpt"))
    found = tensors("perception.")
    hidden = (found["hidden_q"].float() / 32).to(dtype).requires_grad_()
    logits = (found["logits_A_q"].float() / 8) @ (found["logits_W_q"].float() / 16)
    projector = torch.nn.Linear(16, 16, dtype=dtype)
    projector.weight.data = found["linear_weight"].to(dtype)
    projector.bias.data = found["linear_bias"].to(dtype)
    return found, hidden, logits, projector, embedding


def perceptual(hidden, ids, labels, rows, projector, embedding):
    starts = compat.image_starts(labels, rows, BOI, 1024)
    return starts, compat.perceptual_loss(hidden, ids, starts, projector, embedding, IMAGE_START)


@pytest.mark.parametrize(
    ("case", "dtype", "scale", "weight", "tolerance"),
    [
        ("pretrain.fp32", torch.float32, 1.0, 2.0, {"rel": 1e-5}),
        ("pretrain.fp32_weight0.5_resp1.0", torch.float32, 0.5, 1.0, {"rel": 1e-5}),
        ("pretrain.bf16", torch.bfloat16, 1.0, 2.0, {"abs": 0.05}),
        ("pretrain.fp32_hidden_autocast_bf16", torch.bfloat16, 1.0, 2.0, {"abs": 1e-2}),
    ],
)
def test_pretraining_with_perceptual_loss(case, dtype, scale, weight, tolerance):
    found, hidden, logits, projector, embedding = perception(dtype)
    ids, labels = found["input_ids"].long(), found["labels"].long()
    tasks, responses = tasks_of(labels)
    rows = [row for row, task in enumerate(tasks) if task == "text_to_image"]
    starts, perceptual_loss = perceptual(hidden, ids, labels, rows, projector, embedding)
    expected = outputs()["perception"]
    assert [place for _, place in starts] == expected["spans_pretrain"]["starts"]
    tail = compat.response_tail(labels, tasks, responses, EOS)
    loss = compat.ntp_loss(logits, labels, compat.target_weights(labels, tail, weight))
    assert loss.item() == pytest.approx(expected[case]["log"]["loss_local_weighted"], rel=1e-5)
    total = loss + scale * perceptual_loss
    assert total.item() == pytest.approx(expected[case]["loss"], **tolerance)


def test_perceptual_gradients():
    found, hidden, logits, projector, embedding = perception()
    ids, labels = found["input_ids"].long(), found["labels"].long()
    logits.requires_grad_()
    tasks, responses = tasks_of(labels)
    rows = [row for row, task in enumerate(tasks) if task == "text_to_image"]
    _, perceptual_loss = perceptual(hidden, ids, labels, rows, projector, embedding)
    tail = compat.response_tail(labels, tasks, responses, EOS)
    (compat.ntp_loss(logits, labels, compat.target_weights(labels, tail, 2.0)) + perceptual_loss).backward()
    close = {"rtol": 1e-4, "atol": 1e-6}
    torch.testing.assert_close(projector.weight.grad, found["grad_linear_weight"], **close)
    torch.testing.assert_close(projector.bias.grad, found["grad_linear_bias"], **close)
    torch.testing.assert_close(hidden.grad.norm(dim=-1), found["grad_hidden_norm_per_position"], **close)
    torch.testing.assert_close(hidden.grad[0, 9:13], found["grad_hidden_b0_pos9_13"], **close)
    torch.testing.assert_close(logits.grad.norm(dim=-1), found["grad_logits_norm_per_position"], **close)


@pytest.mark.parametrize(("case", "scale"), [("sft.fp32", 1.0), ("sft.fp32_global0.3", 0.3)])
def test_fine_tuning_with_perceptual_loss(case, scale):
    found, hidden, logits, projector, embedding = perception()
    ids, labels = found["input_ids"].long(), found["sft_labels"].long()
    starts, perceptual_loss = perceptual(hidden, ids, labels, range(len(ids)), projector, embedding)
    expected = outputs()["perception"]
    assert len(starts) == expected["spans_sft_rows"]
    weights = compat.target_weights(labels, torch.zeros_like(labels[:, 1:], dtype=torch.bool), 1.0)
    loss = compat.ntp_loss(logits, labels, weights) + scale * perceptual_loss
    assert loss.item() == pytest.approx(expected[case]["loss"], rel=1e-5)


def test_a_text_id_in_an_image_is_refused():
    found, hidden, _, projector, embedding = perception()
    ids = found["input_ids"].long().clone()
    ids[0, 20] = 8198
    with pytest.raises(InputError, match="no image code"):
        compat.perceptual_loss(hidden, ids, [(0, 10)], projector, embedding, IMAGE_START)


@pytest.mark.parametrize(("shards", "samples"), [(0, 0), (1, 0), (0, 2), (0, 7), (1, 3)])
def test_shards(shards, samples):
    expected = outputs()["shards"][f"skip_shards{shards}_skip_samples{samples}"]["items"]
    paths = sorted(golden("losses/shards").glob("*.jsonl"))
    items = [
        {"id": i["id"], "task": i["task"], "response_len": i["response"], "seq_len": len(i["ids"])}
        for i in compat.read_shards(paths, shards, samples)
    ]
    assert items == expected
