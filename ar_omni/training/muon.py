"""Muon with all matrices of a shape orthogonalised together: few large products, not many small ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor


class StackedMuon(torch.optim.Muon):
    """Takes the steps of `torch.optim.Muon` (Jordan et al. 2024; "match_rms_adamw" after Liu et al. 2025),
    with the same arguments and state, and starts far fewer kernels for a decoder whose layers are alike.

    A CPU, where a kernel costs nothing to start, and matrices that processes share take them one by one.
    """

    one_by_one = frozenset({"cpu"})

    @torch.no_grad()
    def step(self, closure=None):
        """One step; returns what `closure` did, if there is one."""
        first = self.param_groups[0]["params"][0]
        if first.device.type in self.one_by_one or isinstance(first, DTensor):
            return super().step(closure)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            matrices, gradients, momenta = [], [], []
            self._init_group(group, matrices, gradients, momenta)
            alike: dict[torch.Size, list[int]] = {}
            for index, matrix in enumerate(matrices):
                alike.setdefault(matrix.shape, []).append(index)
            for own in alike.values():
                _step(group, *([values[i] for i in own] for values in (matrices, gradients, momenta)))
        return loss


def _step(group: dict, matrices: list[Tensor], gradients: list[Tensor], momenta: list[Tensor]) -> None:
    """Changes matrices of one shape."""
    torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
    updates = torch._foreach_lerp(gradients, momenta, group["momentum"]) if group["nesterov"] else momenta
    rate = group["lr"]
    scale = torch.optim._muon._adjust_lr(rate, group["adjust_lr_fn"], matrices[0].shape)
    directions = orthogonalised(
        torch.stack(updates), group["ns_coefficients"], group["ns_steps"], group["eps"]
    )
    torch._foreach_mul_(matrices, 1 - rate * group["weight_decay"])
    torch._foreach_add_(matrices, directions.to(matrices[0].dtype).unbind(), alpha=-scale)


def orthogonalised(
    stacked: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """Matrices (N, A, B) -> about the nearest ones with singular values near 1, by Newton-Schulz iterations
    in bfloat16."""
    tall = stacked.shape[1] > stacked.shape[2]
    wide = (stacked.mT if tall else stacked).bfloat16()
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp(min=eps)
    first, third, fifth = coefficients
    for _ in range(steps):
        gram = wide @ wide.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=third, alpha=fifth)
        wide = torch.baddbmm(wide, polynomial, wide, beta=first)
    return wide.mT if tall else wide
