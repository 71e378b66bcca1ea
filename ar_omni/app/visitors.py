"""Who is here: a conversation for each person, and no more of them than there is memory for."""

from __future__ import annotations

import threading
from time import monotonic

from ar_omni.app.conversation import Conversation
from ar_omni.app.models import Choice, Model, Models
from ar_omni.serving.engine import BusyError

IDLE_S = 900.0
"""Whoever has done nothing for so long makes room for someone new; whoever has left does so at once."""


class Visitors:
    """Conversations by a key that the browser keeps, so that a page that is loaded again finds its own.

    Args:
        models: what they talk with.
        most: so many conversations are kept at once.
    """

    def __init__(self, models: Models, most: int = 16):
        self.models, self.most = models, most
        self._known: dict[str, Conversation] = {}
        self._lock = threading.Lock()

    @property
    def here(self) -> int:
        """How many people look at a page now."""
        return sum(bool(conversation.sessions) for conversation in list(self._known.values()))

    def enter(self, key: str, session: str) -> Conversation:
        """The conversation of this key, shown on one more page.

        Raises:
            BusyError: as many people as may be are here.
        """
        with self._lock:
            if key not in self._known:
                self._make_room()
                self._known[key] = Conversation(self._model(self.models.default))
            conversation = self._known[key]
            conversation.sessions.add(session)
            conversation.used_at = monotonic()
            return conversation

    def leave(self, session: str) -> None:
        """A page was closed: nobody waits for what runs for it."""
        for conversation in list(self._known.values()):
            if session in conversation.sessions:
                conversation.sessions.discard(session)
                if not conversation.sessions:
                    conversation.stop()

    def find(self, conversation_id: str) -> Conversation | None:
        """By the id in an address."""
        return next((one for one in list(self._known.values()) if one.id == conversation_id), None)

    def choose(self, conversation: Conversation, choice: Choice) -> None:
        """Let the conversation start afresh with this model; raises as `Models.get`."""
        if choice != conversation.model.choice:
            conversation.use(self._model(choice))

    def in_use(self) -> set[Choice]:
        """The models that someone who is here talks with."""
        return {one.model.choice for one in list(self._known.values()) if one.sessions}

    def _model(self, choice: Choice) -> Model:
        """This model; whoever has left one that made room for it is forgotten."""
        model = self.models.get(choice, self.in_use)
        for key, one in list(self._known.items()):
            if not self.models.has(one.model.choice):
                self._known.pop(key, None)
        return model

    def _make_room(self) -> None:
        if len(self._known) < self.most:
            return
        now = monotonic()
        oldest = sorted(
            self._known, key=lambda key: (bool(self._known[key].sessions), self._known[key].used_at)
        )
        first = self._known[oldest[0]]
        if first.sessions and now - first.used_at < IDLE_S:
            raise BusyError(f"{self.most} people are here already; load the page again in a few minutes")
        self._known.pop(oldest[0]).clear()
