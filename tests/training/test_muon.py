"""Matrices that are orthogonalised together take the steps that each would take alone."""

import copy

import pytest
import torch

from ar_omni.training.muon import StackedMuon, orthogonalised

SHAPES = [(48, 16), (16, 48), (16, 16), (48, 16), (16, 16), (16, 48), (8, 16)]


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("rates", ["match_rms_adamw", "original"])
def test_stacked_steps_are_those_of_the_matrices_alone(monkeypatch, nesterov, rates):
    monkeypatch.setattr(StackedMuon, "one_by_one", frozenset())
    torch.manual_seed(0)
    alone = [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    together = copy.deepcopy(alone)
    options = {"lr": 0.02, "weight_decay": 0.1, "nesterov": nesterov, "adjust_lr_fn": rates}
    optimizers = torch.optim.Muon(alone, **options), StackedMuon(together, **options)
    for step in range(4):
        for one, other in zip(alone, together, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        if step == 2:
            alone[0].grad = together[0].grad = None  # a matrix that took no part
        for optimizer in optimizers:
            optimizer.step()
        for one, other in zip(alone, together, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    for one, other in zip(alone, together, strict=True):
        moments = [
            each.state[value]["momentum_buffer"] for each, value in zip(optimizers, (one, other), strict=True)
        ]
        torch.testing.assert_close(*moments)


def test_a_cpu_takes_them_one_by_one(monkeypatch):
    monkeypatch.setattr("ar_omni.training.muon.orthogonalised", None)
    matrix = torch.nn.Parameter(torch.eye(4))
    matrix.grad = torch.randn(4, 4)
    StackedMuon([matrix], lr=0.1).step()
    assert not torch.equal(matrix, torch.eye(4))


@pytest.mark.parametrize("shape", [(3, 32, 8), (3, 8, 32)])
def test_singular_values_are_brought_near_one(shape):
    torch.manual_seed(0)
    found = torch.linalg.svdvals(
        orthogonalised(torch.randn(shape), (3.4445, -4.775, 2.0315), 5, 1e-7).float()
    )
    assert 0.6 < found.min() and found.max() < 1.3
