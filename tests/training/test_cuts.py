"""Rows that end early: what of them is learned and read."""

import random
from dataclasses import replace

import pytest
import torch

from ar_omni.processing import ROLES, Processor
from ar_omni.training.cuts import ENDS, cut
from ar_omni.training.objective import Objective, ObjectiveOptions, Row, pad_rows
from ar_omni.training.preview import OPENING

CODES = [code % 5 for code in range(3 * OPENING)]


@pytest.fixture
def sized(processor):
    """A processor whose pictures have room for an opening."""
    sizes = {"codes_per_image": len(CODES), "codes_per_shown_image": len(CODES)}
    template = replace(processor.template, **sizes)
    tokenizers = (processor.text_tokenizer, processor.image_tokenizer, processor.speech_tokenizer)
    return Processor(processor.vocabulary, *tokenizers, template)


@pytest.fixture
def messages():
    """What is this? A pear, in text and speech, and a drawing of it."""
    picture = {"type": "image", "codes": CODES}
    reply = [{"type": "text", "text": "a pear"}, {"type": "audio", "codes": [1, 2, 3]}, picture]
    return [
        {"role": "user", "content": [picture, {"type": "text", "text": "this?"}]},
        {"role": "assistant", "content": reply},
    ]


@pytest.fixture
def talk(sized, messages):
    return sized.encode_example(messages, "chat")


def _weights(talk):
    return talk.loss_weights({"chat": {"prompt": 0.0, "text": 3.0}})


def test_a_row_ends_with_the_text_of_its_reply(talk, vocabulary):
    weights = cut(talk, _weights(talk), {"text": 1.0}, vocabulary, random.Random(0))
    learned = {ROLES[role] for role, weight in zip(talk.roles, weights, strict=True) if weight}
    assert learned == {"text"}
    row = Row(talk.input_ids, weights)
    assert vocabulary.boa_id not in talk.input_ids[: row.reach]
    assert talk.input_ids[row.reach] == vocabulary.boa_id


def test_of_an_opening_no_more_is_read_and_the_whole_picture_foreseen(talk, make_model, vocabulary):
    objective = Objective(make_model(), vocabulary, None, ObjectiveOptions(preview=1.0))
    whole = Row(talk.input_ids, _weights(talk))
    row = Row(talk.input_ids, cut(talk, whole.weights, {"opening": 1.0}, vocabulary, random.Random(0)))
    last = len(talk.input_ids) - 1 - talk.input_ids[::-1].index(vocabulary.boi_id)
    assert row.reach == last + 1 + OPENING
    read = []
    objective.model.model.register_forward_pre_hook(lambda module, args: read.append(args[0].shape[1]))
    sums = objective(**pad_rows([row], vocabulary.pad_id))
    assert read == [row.reach - 1]
    assert sums["weight"] == sum(row.weights) < sum(whole.weights)
    torch.testing.assert_close(sums["preview"], objective(**pad_rows([whole], vocabulary.pad_id))["preview"])


def test_an_opening_cuts_no_later_reply_away_but_its_speech(sized, messages, vocabulary):
    reply = [{"type": "text", "text": "hello"}, {"type": "audio", "codes": [4]}]
    later = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": reply}]
    talk = sized.encode_example([*messages, *later], "chat")
    row = Row(talk.input_ids, cut(talk, _weights(talk), {"opening": 1.0}, vocabulary, random.Random(0)))
    last_speech = len(talk.input_ids) - 1 - talk.input_ids[::-1].index(vocabulary.boa_id)
    assert row.reach == last_speech


def test_what_a_row_lacks_does_not_cut_it(processor, vocabulary):
    talk = processor.encode_example(
        [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [{"type": "audio", "codes": [4]}]},
        ],
        "speak",
    )
    weights = talk.loss_weights({})
    assert all(cut(talk, weights, {end: 1.0}, vocabulary, random.Random(0)) == weights for end in ENDS)


def test_shares_are_shares_of_the_rows(talk, vocabulary):
    rng, weights = random.Random(0), _weights(talk)
    rows = [cut(talk, weights, {"opening": 0.25, "text": 0.5}, vocabulary, rng) for _ in range(2000)]
    reaches = [Row(talk.input_ids, row).reach for row in rows]
    assert len(set(reaches)) == 3
    text, opening, whole = (reaches.count(reach) / len(rows) for reach in sorted(set(reaches)))
    assert (text, opening, whole) == pytest.approx((0.5, 0.25, 0.25), abs=0.04)
