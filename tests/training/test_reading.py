"""The reading loss: the letter to tell at each code, and what corruption may and may not touch."""

import torch

from ar_omni.training.objective import Objective, ObjectiveOptions, Row, pad_rows
from ar_omni.training.reading import LAG, UNKNOWN, reading_targets

A, B, C, SPACE, BOS, EOH, BOA, EOS, EOA, INS, RES = 21, 22, 23, 20, 0, 7, 5, 2, 6, 9, 10


def _row(codes):
    return [BOS, A, B, SPACE, C, EOH, BOA, *codes, EOS]


def test_each_code_has_to_tell_the_letter_after_its_own():
    ids = _row(range(100, 109))
    targets = reading_targets(ids, ["ab", "c"], [6, 9], BOA, 1)
    spoken = targets[7:16]
    assert spoken == [B, B, SPACE, SPACE, C, C, EOH, EOH, EOH]
    assert targets[:7] == [UNKNOWN] * 7 and targets[16:] == [UNKNOWN]


def test_what_is_heard_has_to_be_told_a_moment_later():
    ids = [BOS, BOA, *range(100, 109), EOA, EOH, INS, A, B, SPACE, C, RES, EOS]
    targets = reading_targets(ids, ["ab", "c"], [6, 9], BOA, ids.index(INS) + 1)
    assert targets[2 : 2 + LAG] == [UNKNOWN] * LAG
    assert targets[2 + LAG : 11] == [A, A, B, B, SPACE]
    assert set(targets[11:]) == {UNKNOWN}


def test_without_ends_nothing_has_to_be_told():
    assert set(reading_targets(_row([100]), ["ab", "c"], [], BOA, 1)) == {UNKNOWN}


def test_only_what_is_read_aloud_is_corrupted(make_model, vocabulary):
    options = ObjectiveOptions(reading=1.0, corruption=1.0)
    objective = Objective(make_model(), vocabulary, None, options)
    speech = vocabulary.speech
    ids = [
        vocabulary.bos_id,
        vocabulary.text.start,
        vocabulary.boa_id,
        *[speech.start] * 20,
        vocabulary.eoa_id,
    ]
    reading = [UNKNOWN] * 3 + [vocabulary.text.start] * 20 + [UNKNOWN]
    batch = pad_rows([Row(ids, [1.0] * len(ids), reading)], vocabulary.pad_id)
    seen = objective.seen(batch["input_ids"], batch["reading"], batch["loss_weights"])[0]
    assert seen[:3].tolist() == ids[:3] and len(seen) == len(ids) - 1, "the last id is read by none"
    assert len(set(seen[3:].tolist())) > 5
    assert all(speech.start <= token_id < speech.stop for token_id in seen[3:].tolist())


def test_the_reading_loss_is_the_cross_entropy_of_the_letters(make_model, vocabulary):
    objective = Objective(make_model(), vocabulary, None, ObjectiveOptions(reading=0.5))
    ids = [vocabulary.bos_id, vocabulary.boa_id, vocabulary.speech.start, vocabulary.eoa_id]
    letter = vocabulary.text.start + 3
    batch = pad_rows([Row(ids, [1.0] * 4, [UNKNOWN, UNKNOWN, letter, UNKNOWN])], vocabulary.pad_id)
    sums = objective(**batch)
    hidden = objective.model.model(input_ids=batch["input_ids"]).last_hidden_state[0, 1]
    expected = -torch.log_softmax(objective.reader(hidden), -1)[letter]
    torch.testing.assert_close(sums["reading"], expected, rtol=1e-4, atol=1e-4)
    assert sums["spoken"] == 1 == objective.counts(batch)["spoken"]
    objective.total(sums, objective.counts(batch)).backward()
    assert objective.reader.weight.grad.abs().max() > 0
