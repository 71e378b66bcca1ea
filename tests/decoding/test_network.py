"""The lean network equals the transformers model: whole, in steps, side by side, adapted and quantized."""

import pytest
import torch

from ar_omni.decoding import Network, Sequence
from ar_omni.decoding.cache import FIRST_CAPACITY
from ar_omni.errors import CheckpointError, InputError
from ar_omni.vocabulary import Span


def weights(model):
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


@pytest.fixture(params=["pre", "post"])
def model(request, make_model):
    return make_model(norm_position=request.param)


@pytest.fixture(params=["weights", "modules"])
def network(request, model):
    if request.param == "modules":
        return Network.from_model(model)
    return Network.from_weights(weights(model), model.config.to_dict())


def ids(model, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, model.config.vocab_size, (count,), generator=generator).tolist()


def full(network, hidden, model):
    return network.logits(hidden, Span(0, model.config.vocab_size), ())


@torch.no_grad()
def expected(model, row):
    """The plain forward without a cache: logits at every position (T, V)."""
    return model(torch.tensor([row]), use_cache=False).logits[0]


@pytest.mark.parametrize("pieces", [(31,), (1,) * 31, (7, 1, 1, 12, 10), (30, 1)])
def test_cached_in_any_pieces_equals_the_plain_forward(model, network, pieces):
    row, sequence = ids(model, 31), Sequence([])
    reference, start = expected(model, row), 0
    for piece in pieces:
        sequence.ids += row[start : start + piece]
        start += piece
        got = full(network, network.forward([sequence]), model)
        torch.testing.assert_close(got[0], reference[start - 1], atol=2e-4, rtol=1e-4)
    assert sequence.length == 31


def test_sequences_of_different_lengths_do_not_see_each_other(model, network):
    rows = [ids(model, n, seed=n) for n in (5, 1, 17)]
    sequences = [Sequence(list(row)) for row in rows]
    for step in range(4):
        got = full(network, network.forward(sequences), model)
        for row, logits in zip(rows, got, strict=True):
            torch.testing.assert_close(logits, expected(model, row)[-1], atol=2e-4, rtol=1e-4)
        for row, sequence in zip(rows, sequences, strict=True):
            row.append(step)
            sequence.ids.append(step)


def test_taking_ids_back(model, network):
    row = ids(model, 20)
    sequence = Sequence(list(row))
    network.forward([sequence])
    sequence.rewind(12)
    sequence.ids += row[:3]
    got = full(network, network.forward([sequence]), model)
    torch.testing.assert_close(got[0], expected(model, row[:12] + row[:3])[-1], atol=2e-4, rtol=1e-4)


def test_the_cache_grows_with_the_sequence(model, network):
    row = ids(model, FIRST_CAPACITY + 10)
    sequence = Sequence(row[:5])
    network.forward([sequence])
    assert sequence.keys[0].shape[1] == FIRST_CAPACITY
    sequence.ids += row[5:]
    got = full(network, network.forward([sequence]), model)
    torch.testing.assert_close(got[0], expected(model, row)[-1], atol=5e-4, rtol=1e-3)
    assert sequence.keys[0].shape[1] == 2 * FIRST_CAPACITY
    with pytest.raises(InputError, match="context"):
        network.forward([Sequence([0] * 513)])


def test_logits_of_chosen_ids_are_rows_of_all_logits(model, network):
    hidden = network.forward([Sequence(ids(model, 6)), Sequence(ids(model, 3, seed=1))])
    everything = full(network, hidden, model)
    some = network.logits(hidden, Span(20, 90), (5, 2, 8))
    torch.testing.assert_close(some, torch.cat([everything[:, 20:90], everything[:, [5, 2, 8]]], -1))
    torch.testing.assert_close(network.logits(hidden, None, (4,)), everything[:, [4]])


def test_untied_head_and_biases(make_model):
    model = make_model(tie_word_embeddings=False, attention_bias=True, mlp_bias=True)
    row = ids(model, 9)
    for network in (Network.from_model(model), Network.from_weights(weights(model), model.config.to_dict())):
        got = full(network, network.forward([Sequence(list(row))]), model)
        torch.testing.assert_close(got[0], expected(model, row)[-1], atol=2e-4, rtol=1e-4)


def test_bfloat16_stays_close(model):
    row = ids(model, 9)
    half = Network.from_weights({k: t.bfloat16() for k, t in weights(model).items()}, model.config.to_dict())
    got = full(half, half.forward([Sequence(list(row))]), model)[0]
    reference = expected(model.bfloat16(), row)[-1].float()
    assert (got - reference).abs().max() < 0.1 * reference.std(), "AMX sums in another order than AVX"


@pytest.mark.parametrize("scheme", ["int8", "int4"])
def test_quantized_maps(make_model, scheme):
    model = make_model(hidden_size=64, intermediate_size=128)
    row = ids(model, 9)
    network = Network.from_weights(weights(model), model.config.to_dict(), quantize=scheme)
    got = full(network, network.forward([Sequence(list(row))]), model)[0]
    reference = expected(model, row)[-1]
    assert torch.corrcoef(torch.stack([got, reference]))[0, 1] > {"int8": 0.99, "int4": 0.8}[scheme]


def test_a_head_that_is_no_matrix(model):
    row = ids(model, 6)
    reference = expected(model, row)[-1]
    model.lm_head = torch.nn.Sequential(model.lm_head)
    network = Network.from_model(model)
    got = network.logits(network.forward([Sequence(list(row))]), Span(3, 30), (1,))
    torch.testing.assert_close(got[0], torch.cat([reference[3:30], reference[[1]]]), atol=2e-4, rtol=1e-4)


def test_incomplete_weights_are_named(model):
    incomplete = weights(model)
    del incomplete["model.layers.1.mlp.up_proj.weight"]
    with pytest.raises(CheckpointError, match=r"layers\.1\.mlp\.up_proj"):
        Network.from_weights(incomplete, model.config.to_dict())
