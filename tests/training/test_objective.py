"""The objective: what its formulas say, the target's alignment, and exact sums over parts of a batch."""

import torch
from torch.nn import functional

from ar_omni.training.context import aligned
from ar_omni.training.losses import perceptual_alignment_loss, weighted_ntp_loss, z_loss
from ar_omni.training.objective import Objective, ObjectiveOptions, Row, pad_rows


def test_weighted_ntp_is_the_weighted_sum_of_cross_entropies():
    logits, targets = torch.randn(5, 7), torch.tensor([0, 3, 6, 1, 2])
    weights = torch.tensor([1.0, 2.0, 0.0, 0.5, 1.0])
    by_hand = sum(
        w * -torch.log_softmax(row, 0)[t] for w, row, t in zip(weights, logits, targets, strict=True)
    )
    torch.testing.assert_close(weighted_ntp_loss(logits, targets, weights), by_hand)


def test_perceptual_loss_sums_squares_over_dimensions():
    projected, targets = torch.randn(4, 3), torch.randn(4, 3)
    torch.testing.assert_close(
        perceptual_alignment_loss(projected, targets), ((projected - targets) ** 2).sum()
    )


def test_z_loss_is_the_squared_log_partition():
    logits = torch.zeros(2, 8)
    torch.testing.assert_close(z_loss(logits, torch.tensor([1.0, 3.0])), 4 * torch.tensor(8.0).log() ** 2)


def _objective(make_model, vocabulary, perceptual=0.1, z=0.01):
    model = make_model(image_embedding_dim=8)
    embedding = torch.randn(len(vocabulary.image), 8)
    return Objective(model, vocabulary, embedding, ObjectiveOptions(perceptual, z))


def _rows(vocabulary, processor):
    talk = [
        {"role": "user", "content": "an apple"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "here"},
                {"type": "image", "codes": [1, 2, 3, 4, 5, 6, 7, 8, 0]},
            ],
        },
    ]
    both = (
        processor.encode_example(talk, "chat"),
        processor.encode_example(talk[:1] + [{"role": "assistant", "content": "no"}], "chat"),
    )
    return [Row(each.input_ids, each.loss_weights({"chat": {"prompt": 0.3, "text": 2.0}})) for each in both]


def test_matches_plain_arithmetic_on_the_whole_logits(make_model, vocabulary, processor):
    objective = _objective(make_model, vocabulary)
    batch = pad_rows(_rows(vocabulary, processor), vocabulary.pad_id)
    sums = objective(**batch)
    ids, weights = batch["input_ids"], batch["loss_weights"][:, 1:]
    output = objective.model(input_ids=ids, output_hidden_states=True)
    losses = functional.cross_entropy(output.logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
    torch.testing.assert_close(sums["ntp"], (losses * weights).sum(), rtol=1e-4, atol=1e-4)
    image = vocabulary.image
    predicting = (ids[:, 1:] >= image.start) & (ids[:, 1:] < image.stop)
    projected = objective.model.image_projector(output.hidden_states[-1][:, :-1][predicting])
    expected = (projected - objective.image_embedding[ids[:, 1:][predicting] - image.start]).square().sum()
    torch.testing.assert_close(sums["perceptual"], expected, rtol=1e-4, atol=1e-4)
    assert sums["images"] == 9


def test_rows_apart_add_up_to_the_padded_batch(make_model, vocabulary, processor):
    objective = _objective(make_model, vocabulary)
    rows = _rows(vocabulary, processor)
    together = objective(**pad_rows(rows, vocabulary.pad_id))
    apart = [objective(**pad_rows([row], vocabulary.pad_id)) for row in rows]
    for name, value in together.items():
        torch.testing.assert_close(value, sum(part[name] for part in apart), rtol=1e-4, atol=1e-3)
    counts = {name: value.detach() for name, value in together.items()}
    total = sum(objective.total(part, counts) for part in apart)
    torch.testing.assert_close(objective.total(together, counts), total, rtol=1e-4, atol=1e-4)


def test_ids_aligned_with_what_comes_next_give_the_same_sums(make_model, vocabulary, processor):
    """As context parallelism needs them, before it cuts rows."""
    objective = _objective(make_model, vocabulary)
    batch = pad_rows(_rows(vocabulary, processor), vocabulary.pad_id)
    columns = aligned(objective, batch, 4)
    assert 0 <= columns["seen"].shape[1] - batch["input_ids"].shape[1] + 1 < 4
    assert all(values.shape[1] % 4 == 0 for values in columns.values())
    whole, sums = objective(**batch), objective(**columns)
    assert whole.keys() == sums.keys()
    for name, value in whole.items():
        torch.testing.assert_close(sums[name], value, rtol=1e-4, atol=1e-3)


def test_the_projector_is_trained(make_model, vocabulary, processor):
    objective = _objective(make_model, vocabulary)
    sums = objective(**pad_rows(_rows(vocabulary, processor), vocabulary.pad_id))
    objective.total(sums, sums).backward()
    assert objective.model.image_projector.weight.grad.abs().max() > 0
