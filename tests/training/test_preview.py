"""The preview loss: which pictures it looks at, and what it asks of the states where they begin."""

import torch

from ar_omni.training.objective import Objective, ObjectiveOptions, Row, pad_rows
from ar_omni.training.preview import (
    OPENING,
    opening_states,
    pictures_at,
    preview_loss,
)


def _batch(vocabulary, codes, weight=1.0):
    ids = [vocabulary.bos_id, vocabulary.text.start, vocabulary.boi_id]
    ids += [vocabulary.image.start + code for code in codes] + [vocabulary.eoi_id]
    return pad_rows([Row(ids, [weight] * len(ids)), Row(ids[:2], [1.0, 1.0])], vocabulary.pad_id)


def test_only_pictures_that_are_learned_are_foreseen(make_model, vocabulary):
    objective = Objective(make_model(), vocabulary, None, ObjectiveOptions(preview=1.0))
    codes = [3, 1, 2, 1]
    batch = _batch(vocabulary, codes)
    starts = objective._starts(batch["input_ids"][:, :-1], batch["loss_weights"][:, 1:])
    assert starts.nonzero().tolist() == [[0, 2]]
    assert pictures_at(batch["input_ids"], starts, vocabulary).tolist() == [codes]
    shown = _batch(vocabulary, codes, weight=0.0)
    assert not objective._starts(shown["input_ids"], shown["loss_weights"]).any()
    assert objective(**shown)["preview"] == 0 == objective.counts(shown)["pictures"]


def test_the_states_are_those_of_the_opening(vocabulary):
    hidden = torch.arange(40.0)[None, :, None]
    starts = torch.zeros(1, 40, dtype=torch.bool)
    starts[0, 5] = True
    assert opening_states(hidden, starts)[0, :, 0].tolist() == list(range(5, 5 + OPENING))


def test_it_is_least_for_the_bag_of_the_pictures_codes():
    codes = torch.tensor([[0, 0, 1, 2]])
    bag = torch.tensor([0.5, 0.25, 0.25, 1e-9])
    right = preview_loss(bag.log().expand(1, OPENING, 4), codes)
    torch.testing.assert_close(right, -(bag[:3] * bag[:3].log()).sum())
    assert preview_loss(torch.zeros(1, OPENING, 4), codes) > right


def test_it_reaches_the_decoder_and_its_head(make_model, vocabulary):
    objective = Objective(make_model(), vocabulary, None, ObjectiveOptions(preview=0.5))
    batch = _batch(vocabulary, [3, 1, 2, 1])
    sums, counts = objective(**batch), objective.counts(batch)
    assert sums["pictures"] == 1 == counts["pictures"]
    without = {**sums, "preview": torch.zeros(())}
    difference = objective.total(sums, counts) - objective.total(without, counts)
    torch.testing.assert_close(difference, 0.5 * sums["preview"])
    sums["preview"].backward()
    assert objective.previewer.weight.grad.abs().max() > 0
