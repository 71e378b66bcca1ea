"""What happens when people do something on the page: each handler gives new values of its components."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Any

import gradio as gr

from ar_omni.app import rendering
from ar_omni.app.conversation import Conversation
from ar_omni.app.messages import Wishes, heard, reworded, spoken, written
from ar_omni.app.models import Choice
from ar_omni.app.panel import panel
from ar_omni.app.rendering import EXAMPLES
from ar_omni.app.turns import Turn
from ar_omni.app.visitors import Visitors
from ar_omni.errors import AROmniError
from ar_omni.terminal import QUESTION

PACE_S = 0.04
"""The page is told of news at most so often."""
View = tuple[Any, ...]
"""Values of: past turns, the newest turn, the player, the line of what happens now."""


class Handlers:
    """One for the page; whose conversation it is comes with each call.

    Gradio streams the handlers that are generator functions, not those that return a generator.

    Args:
        visitors: who is here.
    """

    def __init__(self, visitors: Visitors):
        self._visitors = visitors

    def arrive(self, key: str, request: gr.Request) -> tuple[Any, ...]:
        """A page was loaded: its conversation's id, the bar with its name and link, and the view."""
        who = request.username or ""
        try:
            conversation = self._visitors.enter(f"{who}/{key}", request.session_hash)
        except AROmniError as error:
            raise gr.Error(str(error), duration=None) from error
        conversation.stop()
        choice = conversation.model.choice
        return conversation.id, self._bar(conversation), choice.model, choice.adapter, *_view(conversation)

    def leave(self, request: gr.Request) -> None:
        self._visitors.leave(request.session_hash)

    def send(
        self, who: str, box: dict[str, Any] | None, played: Any, *controls: Any
    ) -> Iterator[tuple[Any, ...]]:
        """A typed message; the box is emptied once the message is taken."""
        box, wishes, taken = box or {}, Wishes(*controls), False

        def start(conversation: Conversation) -> Iterator[Turn]:
            nonlocal taken
            conversation.stop(heard(played))
            parts = written(box.get("text") or "", box.get("files") or [], wishes)
            turns = conversation.send(parts, **wishes.asked())
            taken = True
            return turns

        for number, view in enumerate(self._replies(who, start)):
            yield *view, None if taken and not number else gr.skip()

    def record(self, who: str, event: gr.EventData, *controls: Any) -> Iterator[View]:
        """A recording from the microphone."""
        wishes = Wishes(*controls)
        yield from self._replies(who, lambda one: one.send(spoken(event.wav), **wishes.asked()))

    def example(self, who: str, event: gr.EventData, *controls: Any) -> Iterator[View]:
        """One of the examples."""
        wishes = Wishes(*controls)
        message = EXAMPLES[int(event.index) % len(EXAMPLES)][-1]
        files = [] if message else [str(QUESTION)]
        yield from self._replies(
            who, lambda one: one.send(written(message or "", files, wishes), **wishes.asked())
        )

    def again(self, who: str, event: gr.EventData, *controls: Any) -> Iterator[View]:
        """Another answer to a message; what followed it is gone."""
        yield from self._replies(who, self._resent(event, Wishes(*controls), lambda turn: turn.parts))

    def edit(self, who: str, event: gr.EventData, *controls: Any) -> Iterator[View]:
        """A message in other words; what followed it is gone."""
        yield from self._replies(
            who, self._resent(event, Wishes(*controls), lambda turn: reworded(turn.parts, event.text))
        )

    def halt(self, who: str, event: gr.EventData) -> View:
        """Stop the model and its voice."""
        conversation = self._conversation(who)
        conversation.stop(heard(event.heard))
        return _view(conversation)

    def clear(self, who: str) -> View:
        conversation = self._conversation(who)
        conversation.clear()
        return _view(conversation)

    def choose(self, who: str, model: str, adapter: str) -> tuple[Any, ...]:
        """Another model or adapter: the bar, and the view of a conversation that starts afresh."""
        conversation = self._conversation(who)
        try:
            self._visitors.choose(conversation, Choice(model, adapter))
        except AROmniError as error:
            gr.Warning(str(error))
        choice = conversation.model.choice
        return self._bar(conversation), choice.model, choice.adapter, *_view(conversation)

    def status(self, who: str) -> str:
        """The panel about the machine and the model."""
        conversation = self._conversation(who)
        running, waiting = conversation.model.engine.load
        crowd = {
            "model": rendering.called(conversation.model.choice),
            "people": f"{self._visitors.here} of {self._visitors.most}",
            "replies": f"{running} running, {waiting} waiting",
        }
        return panel(conversation.model.folder, crowd)

    def _conversation(self, who: str) -> Conversation:
        conversation = self._visitors.find(who)
        if conversation is None:
            raise gr.Error("this conversation has made room for others; load the page again", duration=None)
        return conversation

    def _bar(self, conversation: Conversation) -> str:
        return rendering.bar(conversation.model.choice, conversation.id)

    def _replies(self, who: str, start: Callable[[Conversation], Iterator[Turn]]) -> Iterator[View]:
        """The view each time more of a reply is there; a message that cannot be used is explained."""
        conversation = self._conversation(who)
        try:
            turns = start(conversation)
        except AROmniError as error:
            gr.Warning(str(error))
            yield _view(conversation)
            return
        told = 0.0
        for number, turn in enumerate(turns):
            if number and not turn.ended and monotonic() - told < PACE_S:
                continue
            told = monotonic()
            past, newest, _, status = _view(conversation)
            yield gr.skip() if number else past, newest, _voice(conversation), status

    def _resent(
        self, event: gr.EventData, wishes: Wishes, parts: Callable[[Turn], Sequence[Any]]
    ) -> Callable:
        def start(conversation: Conversation) -> Iterator[Turn]:
            conversation.stop(heard(event.heard))
            turn = conversation.find(event.turn)
            if turn is None:
                raise AROmniError("this message is not there any more")
            asked, message = wishes.asked(), parts(turn)
            conversation.rewind(turn.id)
            return conversation.send(message, **asked)

        return start


def _view(conversation: Conversation) -> View:
    """What there is to see; the player goes on as it is."""
    turns = list(conversation.turns)
    if not turns:
        return "", rendering.welcome(conversation.model.choice.model), gr.skip(), ""
    past, newest = turns[:-1], turns[-1]
    return (
        rendering.conversation(conversation.id, past),
        rendering.one_turn(conversation.id, newest),
        gr.skip(),
        rendering.status(newest),
    )


def _voice(conversation: Conversation) -> Any:
    """What the player should play: the newest reply, once it has a voice, unless it was stopped."""
    turn = conversation.turns[-1] if conversation.turns else None
    if turn is None or turn.note or not len(turn.speech):
        return gr.skip()
    address = rendering.address(conversation.id, turn, "speech.f32")
    return json.dumps({"turn": turn.id, "address": address, "rate": turn.speech.sample_rate})
