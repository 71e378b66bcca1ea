"""One person's conversation: what the page shows, and the `Chat` behind it, always in step."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Any

from ar_omni.app.models import Model
from ar_omni.app.turns import Heard, Turn
from ar_omni.chat import Chat
from ar_omni.errors import AROmniError
from ar_omni.events import Event
from ar_omni.messages import Part

MAX_TURNS = 50
MAX_BYTES = 64 * 2**20
"""Most turns, and most bytes of media, that are kept for one person; the oldest go first."""
ROOM = 1024
"""Ids that a message and its reply should have; with less of the context left, it starts afresh."""
STOPPED = "stopped"
FAILED = "something went wrong; the log of the app has more"
FRESH = "the model cannot read more at once: it has let go of what came before this"


class Conversation:
    """Messages and replies with one model. All methods may be called from any thread.

    Args:
        model: whom it is with.
    """

    def __init__(self, model: Model):
        self.id = secrets.token_urlsafe(16)
        """Names it in addresses; nobody can guess it."""
        self.turns: list[Turn] = []
        self.sessions: set[str] = set()
        """The pages that show it."""
        self.used_at = monotonic()
        self._lock = threading.RLock()
        self._stream: Iterator[Event] | None = None
        self._halt = threading.Event()
        self._meet(model)

    def use(self, model: Model) -> None:
        """Start afresh with another model."""
        with self._lock:
            self.clear()
            self._meet(model)

    def send(self, parts: Sequence[Part], **asked: Any) -> Iterator[Turn]:
        """Send a message; a reply that runs is stopped. Gives its turn again each time more of it is there.

        Args:
            parts: the message.
            asked: as in `Chat.stream`.

        Raises:
            InputError: a message that cannot be used; the conversation stays as it was.
        """
        with self._lock:
            self.stop()
            full = self._chat.length + min(ROOM, self.model.context // 2) > self.model.context
            if full:
                self._meet(self.model)
            self._halt = threading.Event()
            stream = self._chat.stream(parts, **asked)
            turn = Turn(parts, asked, self._chat.turns, warning=FRESH if full else "")
            self.turns.append(turn)
            self._stream = stream
            self._forget()
        return self._follow(turn, stream)

    def stop(self, heard: Heard | None = None) -> None:
        """Stop the reply; of the last one's speech only what was heard is kept."""
        self._halt.set()  # whoever holds the lock while the next event comes lets go of it soon
        with self._lock:
            self.used_at = monotonic()
            stream, self._stream = self._stream, None
            if stream is not None:
                stream.close()
            if not self.turns:
                return
            turn = self.turns[-1]
            speech, samples = turn.speech, None
            if heard and heard.turn_id == turn.id and heard.samples < len(speech):
                samples = heard.samples
                self._chat.heard(samples / speech.sample_rate)
            turn.end(STOPPED, samples)

    def rewind(self, turn_id: str) -> Turn | None:
        """Take back this turn and all that follow; returns it, or None if it is not there any more."""
        with self._lock:
            self.stop()
            index = next((i for i, turn in enumerate(self.turns) if turn.id == turn_id), None)
            if index is None:
                return None
            turn, later = self.turns[index], self.turns[index:]
            del self.turns[index:]
            if any(one.warning for one in later[1:]):  # the model has let go of this one already
                self._meet(self.model)
            while self._chat.turns > turn.depth:
                self._chat.undo()
            return turn

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self.stop()
            self._chat.reset()
            self.turns.clear()

    def find(self, turn_id: str) -> Turn | None:
        return next((turn for turn in self.turns if turn.id == turn_id), None)

    def _meet(self, model: Model) -> None:
        self.model = model
        self._chat = Chat(model.omni, run=lambda turn: model.engine.run(turn, self._halt))

    def _forget(self) -> None:
        while len(self.turns) > 1 and (
            len(self.turns) > MAX_TURNS or sum(turn.nbytes for turn in self.turns) > MAX_BYTES
        ):
            self.turns.pop(0)

    def _follow(self, turn: Turn, stream: Iterator[Event]) -> Iterator[Turn]:
        """Between two events the lock is free: whoever stops the reply closes `stream`, which then ends."""
        yield turn
        try:
            while not turn.ended:
                with self._lock:
                    event = next(stream, None)
                    if event is None:
                        break
                    turn.take(event)
                yield turn
        except AROmniError as error:
            turn.end(str(error))
        except Exception:  # the page must not wait for ever for what the model died of
            logging.getLogger(__name__).exception("a reply failed")
            turn.end(FAILED)
        finally:
            with self._lock:
                stream.close()
                turn.end(STOPPED)
                if self._stream is stream:
                    self._stream = None
        yield turn
