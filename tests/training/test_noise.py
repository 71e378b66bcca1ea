"""Noise: which codes of which pictures are replaced in what the model reads, and that targets stay."""

import pytest
import torch

from ar_omni.training.objective import Objective, ObjectiveOptions, Row, pad_rows

PICTURE = 200
BLOTS = 0.2


@pytest.fixture
def batch(vocabulary):
    """Rows with a picture that is shown, and one that is drawn, of a code of its own each."""
    rows = []
    for number in range(len(vocabulary.image)):
        picture = [vocabulary.boi_id, *[vocabulary.image.start + number] * PICTURE, vocabulary.eoi_id]
        shown, drawn = [0.0] * len(picture), [1.0] * len(picture)
        # learned after its opening
        shown[50:-1] = [0.3] * len(shown[50:-1])
        rows += [Row([vocabulary.bos_id, *picture, *picture], [0.0, *shown, *drawn])] * 10
    return pad_rows(rows, vocabulary.pad_id)


@pytest.fixture
def seen(make_model, vocabulary, batch):
    objective = Objective(make_model(), vocabulary, None, ObjectiveOptions(blots=BLOTS))
    torch.manual_seed(0)
    return objective.seen(batch["input_ids"], batch["reading"], batch["loss_weights"])


def test_a_share_of_the_codes_of_drawn_pictures_is_replaced_by_others(batch, seen, vocabulary):
    ids = batch["input_ids"][:, :-1]
    first = 2 + PICTURE + 2  # of the drawn picture's codes
    drawn = (seen != ids)[:, first:]
    assert not (seen != ids)[:, :first].any()
    shares = drawn.float().mean(1) * len(vocabulary.image) / (len(vocabulary.image) - 1)
    assert shares.mean() == pytest.approx(BLOTS, abs=0.05)
    assert (shares == 0).float().mean() == pytest.approx(0.5, abs=0.1)
    assert shares.max() == pytest.approx(4 * BLOTS, abs=0.1)
    span = vocabulary.image
    assert ((seen >= span.start) & (seen < span.stop)).equal((ids >= span.start) & (ids < span.stop))


def test_targets_stay(make_model, vocabulary, batch):
    first, second = (
        Objective(make_model(), vocabulary, None, ObjectiveOptions(blots=blots, preview=1.0))(**batch)
        for blots in (0.0, BLOTS)
    )
    assert first["weight"] == second["weight"] and first["pictures"] == second["pictures"] == len(
        batch["input_ids"]
    )


def test_rows_without_pictures_are_left_alone(make_model, vocabulary):
    objective = Objective(make_model(), vocabulary, None, ObjectiveOptions(blots=BLOTS))
    batch = pad_rows([Row([0, 20, 21, 22], [1.0] * 4)], vocabulary.pad_id)
    assert objective.seen(*(batch[name] for name in ("input_ids", "reading", "loss_weights"))).tolist() == [
        [0, 20, 21]
    ]
