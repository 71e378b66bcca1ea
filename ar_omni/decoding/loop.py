"""Prefill, then a step a token: rows in, tokens out, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ar_omni.decoding.cache import Sequence
from ar_omni.decoding.controller import Controller, Rule, State
from ar_omni.decoding.guidance import Guidance
from ar_omni.decoding.network import Network
from ar_omni.decoding.sampling import Sampler, penalise


class Token(NamedTuple):
    """One emitted id: of which row, and in which state of its grammar."""

    row: int
    id: int
    state: State


@dataclass
class Row:
    """One reply in the making.

    Attributes:
        sequence: the prompt, and then the reply.
        controller: what is legal.
        sampler: its own random numbers.
        guidance: the branches that guide its pictures.
    """

    sequence: Sequence
    controller: Controller
    sampler: Sampler
    guidance: Guidance


def decode(network: Network, rows: Seq[Row]) -> Iterator[Token]:
    """Decode until every row has ended; rows that end leave the batch.

    Each row keeps to its own state, random numbers and cache, so it gives what it gives alone. Close the
    generator to stop at once: every id that was yielded is in its row's sequence, and nothing else.
    """
    active = list(enumerate(rows))
    while active:
        yield from step(network, active)
        active = [(index, row) for index, row in active if not row.controller.done]


def step(network: Network, active: Seq[tuple[int, Row]]) -> Iterator[Token]:
    """One chosen id of each (index, row), and before it all that leave no choice.

    Between steps rows may come and go: `decode` is steps over the rows that are left of one batch.
    """
    for index, row in active:
        yield from _forced(index, row)
    choosing = [(index, row) for index, row in active if not row.controller.done]
    sequences = [sequence for _, row in choosing for sequence in (row.sequence, *row.guidance.branches)]
    hidden = network.forward(sequences) if sequences else None
    start = 0
    for index, row in choosing:
        stop = start + 1 + len(row.guidance.branches)
        yield _emit(index, row, choose(network, row, hidden[start:stop]))
        start = stop


@torch.inference_mode()
def choose(network: Network, row: Row, hidden: Tensor) -> int:
    """The next id of a row, from the hidden states (1 + branches, hidden) of it and its guidance."""
    rule = row.controller.rule()
    logits = network.logits(hidden, rule.span, tuple(wanted for wanted, _ in rule.exits))
    scores = row.guidance.combine(logits)
    return rule.id(row.sampler(penalise_text(scores, rule, row.controller), rule.options))


def penalise_text(scores: Tensor, rule: Rule, controller: Controller) -> Tensor:
    """Apply the repetition penalty to the scores of a rule's ids, if the row is in TEXT."""
    penalty = controller.options.repetition_penalty
    if rule.state is not State.TEXT or rule.span is None or penalty == 1 or not controller.text_ids:
        return scores
    used = torch.tensor([i - rule.span.start for i in sorted(controller.text_ids)], device=scores.device)
    return penalise(scores, used, penalty)


def _forced(index: int, row: Row) -> Iterator[Token]:
    """The ids that leave no choice; they need no forward of their own."""
    while not row.controller.done and (token_id := row.controller.rule().forced) is not None:
        yield _emit(index, row, token_id)


def _emit(index: int, row: Row, token_id: int) -> Token:
    before = row.controller.state
    state = row.controller.push(token_id)
    row.sequence.ids.append(token_id)
    row.guidance.push(token_id)
    if before is not state and state is State.IMAGE:
        row.guidance.open(token_id)
    elif before is State.IMAGE and row.controller.state is not State.IMAGE:
        row.guidance.close()
    return Token(index, token_id, state)
