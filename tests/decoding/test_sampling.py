import pytest
import torch

from ar_omni.decoding import Sampler, StateOptions
from ar_omni.decoding.sampling import penalise, shape


def test_greedy_takes_the_best_whatever_the_seed():
    scores = torch.tensor([0.0, 3.0, 2.9])
    assert {Sampler(seed)(scores, StateOptions()) for seed in range(5)} == {1}


@pytest.mark.parametrize("options", [StateOptions("sample"), StateOptions("sample", 0.7, 0.9, 4)])
def test_frequencies_are_the_probabilities(options):
    scores = torch.tensor([1.0, 0.0, -1.0, 0.5, -3.0])
    sampler, draws = Sampler(0), 4000
    counts = torch.bincount(torch.tensor([sampler(scores, options) for _ in range(draws)]), minlength=5)
    expected = shape(scores, options).softmax(-1)
    assert (counts / draws - expected).abs().max() < 0.03
    assert (counts[expected == 0] == 0).all()


def test_shaping():
    scores = torch.tensor([0.1, 0.5, 0.2, 0.2]).log()
    inf = float("inf")
    assert torch.equal(shape(scores, StateOptions("sample")), scores)
    torch.testing.assert_close(shape(scores, StateOptions("sample", 0.5)), scores * 2)
    assert (shape(scores, StateOptions("sample", top_k=1)) > -inf).tolist() == [False, True, False, False]
    assert (shape(scores, StateOptions("sample", top_p=0.95)) > -inf).tolist() == [True] * 4
    assert (shape(scores, StateOptions("sample", top_p=0.85)) > -inf).tolist() == [False, True, True, True]
    assert (shape(scores, StateOptions("sample", top_p=0.01)) > -inf).sum() == 1


def test_penalty_lowers_both_signs():
    got = penalise(torch.tensor([2.0, -2.0, 2.0]), torch.tensor([0, 1]), 2.0)
    assert got.tolist() == [1.0, -4.0, 2.0]
