"""The grammar for transformers' own `model.generate()`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import LogitsProcessor

from ar_omni.decoding.controller import Controller, Rule
from ar_omni.decoding.loop import penalise_text
from ar_omni.decoding.sampling import shape


class GrammarLogitsProcessor(LogitsProcessor):
    """Keeps every row of `model.generate()` inside its controller's grammar, with its strategies.

    Pass it in `logits_processor=`, with `do_sample=True, temperature=1.0, top_k=0` if any state samples: the
    states' own temperature, top-k and top-p are applied here, and a greedy state leaves one id. Beams are not
    supported. Greedy ids equal those of `ar_omni.decoding.loop.decode` without guidance.

    Args:
        controllers: a fresh one for each row.
        pad_id: what a row that has ended continues with.
    """

    def __init__(self, controllers: Sequence[Controller], pad_id: int):
        self._controllers = controllers
        self._pad_id = pad_id
        self._seen: int | None = None

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """(B, T) ids so far, (B, V) logits -> (B, V) logits, -inf for what is not legal."""
        new = input_ids[:, self._seen :] if self._seen is not None else input_ids[:, :0]
        self._seen = input_ids.shape[1]
        masked = torch.full_like(scores, -torch.inf)
        for row, controller in enumerate(self._controllers):
            for token_id in new[row].tolist():
                if not controller.done:
                    controller.push(token_id)
            if controller.done:
                masked[row, self._pad_id] = 0.0
            else:
                _constrain(controller, scores[row], masked[row])
        return masked


def _constrain(controller: Controller, scores: torch.Tensor, masked: torch.Tensor) -> None:
    """Copy the scores of the legal ids of one row (V,) into `masked`, shaped as its state chooses."""
    rule = controller.rule()
    local = penalise_text(_local(rule, scores), rule, controller)
    if rule.options.strategy == "greedy":
        masked[rule.id(int(local.argmax()))] = 0.0
        return
    ids = torch.tensor([rule.id(index) for index in range(len(local))], device=scores.device)
    masked.scatter_reduce_(0, ids, shape(local, rule.options), "amax")


def _local(rule: Rule, scores: torch.Tensor) -> torch.Tensor:
    """(V,) scores -> those of the rule's span, then those of its wanted exits."""
    inside = scores[rule.span.start : rule.span.stop] if rule.span else scores[:0]
    return torch.cat([inside, scores[[wanted for wanted, _ in rule.exits]]])
