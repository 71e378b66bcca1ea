"""Many replies at once from one model: rows join and leave the running batch between its steps.

One thread owns the network. Whoever wants a reply calls `run`, from any thread, and reads its events; each
reply is what it would be alone, for every row keeps its own state, cache and random numbers.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING

from ar_omni.decoding import step
from ar_omni.errors import AROmniError
from ar_omni.events import Event, TurnEnd
from ar_omni.streaming import Narration, Stopwatch, Turn

if TYPE_CHECKING:
    from ar_omni.omni import AROmni

HEARTBEAT_S = 0.5
"""A reply that waits says so this often, and whoever reads it can turn away."""
GUESS_S = 5.0
"""How long a reply takes, before one was measured."""


@dataclass(frozen=True)
class Waiting:
    """An event: the reply has not begun, and this many go first."""

    place: int


class BusyError(AROmniError):
    """More replies are asked for than may wait; `retry_after_s` says when to try again."""

    def __init__(self, message: str, retry_after_s: int = 1):
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SlowError(AROmniError):
    """A reply that took longer than it may."""


@dataclass(eq=False)
class _Ticket:
    """A reply that someone reads: in the batch once it has a `narration`, out of it once `left`."""

    turn: Turn
    since: float
    inbox: SimpleQueue[Event | Exception] = field(default_factory=SimpleQueue)
    narration: Narration | None = None
    gone: bool = False
    fate: str = "cancelled"
    left: threading.Event = field(default_factory=threading.Event)


class Engine:
    """Decodes the turns of one model, up to `slots` in each step.

    Args:
        omni: the model; its network is looked up at every step.
        slots: most replies that are decoded at once.
        room: most replies that wait for a slot; more are refused with `BusyError`.
        limit_s: most seconds of one reply, from when it is asked for.
    """

    def __init__(self, omni: AROmni, slots: int = 8, room: int = 32, limit_s: float = 300.0):
        self.omni, self.slots, self.room, self.limit_s = omni, slots, room, limit_s
        self.counts: Counter[str] = Counter()
        """Replies started, finished, cancelled, failed; tokens and seconds of speech of those finished."""
        self._changed = threading.Condition()
        self._waiting: deque[_Ticket] = deque()
        self._active: list[_Ticket] = []
        self._held = 0
        self._closed = False
        self._usual_s = GUESS_S
        self._thread = threading.Thread(target=self._work, name="ar-omni-engine", daemon=True)
        self._thread.start()

    @property
    def load(self) -> tuple[int, int]:
        """(replies in the batch, replies that wait)."""
        return len(self._active), len(self._waiting)

    def run(self, turn: Turn, halt: threading.Event | None = None) -> Iterator[Event | Waiting]:
        """The events of a turn, as `AROmni.run` gives them, and `Waiting` before them.

        When the generator has closed, its row is in nobody's hands but the caller's.

        Args:
            turn: what to decode.
            halt: once set, even while someone waits for the next event, it ends within `HEARTBEAT_S`.

        Raises:
            BusyError: at the first event, when too many wait, or the engine is closing.
            SlowError: after `limit_s`.
        """
        ticket = self._enter(turn)
        try:
            item = None
            while not (isinstance(item, TurnEnd) or (halt and halt.is_set())):
                try:
                    item = ticket.inbox.get(timeout=HEARTBEAT_S)
                except Empty:
                    if ticket.narration is not None:
                        continue
                    item = Waiting(self._place(ticket))
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            with self._changed:
                ticket.gone = True
                self._changed.notify_all()
            ticket.left.wait()

    @contextmanager
    def idle(self) -> Iterator[None]:
        """While this is held nothing is decoded: replies that run end first, others wait."""
        with self._changed:
            self._held += 1
            self._changed.wait_for(lambda: not self._active)
        try:
            yield
        finally:
            with self._changed:
                self._held -= 1
                self._changed.notify_all()

    def close(self, grace_s: float = 0.0) -> None:
        """Take no more replies, let those that are here end within `grace_s`, and stop the rest."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not (self._active or self._waiting), grace_s)
            for ticket in (*self._active, *self._waiting):
                self._fail(ticket, BusyError("the server is closing"))
            self._changed.notify_all()
        self._thread.join()

    def _enter(self, turn: Turn) -> _Ticket:
        with self._changed:
            if self._closed:
                raise BusyError("the server is closing; try again in a moment")
            queued = len(self._waiting)
            if queued >= self.room and len(self._active) >= self.slots:
                wait = max(1, ceil(self._usual_s * (queued + 1) / self.slots))
                raise BusyError(f"{queued} replies wait already; try again in {wait} s", wait)
            ticket = _Ticket(turn, monotonic())
            self._waiting.append(ticket)
            self._changed.notify_all()
            return ticket

    def _place(self, ticket: _Ticket) -> int:
        with self._changed:
            return self._waiting.index(ticket) if ticket in self._waiting else 0

    def _work(self) -> None:
        while self._admit():
            try:
                self._step()
            except (
                Exception
            ) as error:  # what a batch dies of reaches its readers, and the next one is decoded
                for ticket in self._active:
                    self._fail(ticket, error)

    def _admit(self) -> bool:
        """Let go of those that are done, and take in one more: a prompt at a time delays the others least."""
        with self._changed:
            while True:
                self._sweep()
                if self._waiting and not self._held and len(self._active) < self.slots:
                    ticket = self._waiting.popleft()
                    ticket.narration = Narration(self.omni.processor, ticket.turn, Stopwatch())
                    self._active.append(ticket)
                    self.counts["started"] += 1
                if self._active:
                    return True
                if self._closed and not self._waiting:
                    return False
                self._changed.wait(HEARTBEAT_S if self._waiting else None)

    def _sweep(self) -> None:
        """Let go of those that are done, gone or late."""
        now = monotonic()
        for tickets in (self._active, self._waiting):
            for ticket in list(tickets):
                if not ticket.gone and now - ticket.since > self.limit_s:
                    self._fail(ticket, SlowError(f"the reply took more than {self.limit_s:g} s"))
                if ticket.gone:
                    self.counts[ticket.fate] += 1
                    tickets.remove(ticket)
                    ticket.left.set()
        self._changed.notify_all()

    def _step(self) -> None:
        rows = [(index, ticket.turn.row) for index, ticket in enumerate(self._active)]
        for token in step(self.omni.network, rows):
            ticket = self._active[token.row]
            if ticket.gone:
                continue
            for event in ticket.narration.push(token):
                ticket.inbox.put(event)
                if isinstance(event, TurnEnd):
                    self._finish(ticket, event)

    def _finish(self, ticket: _Ticket, end: TurnEnd) -> None:
        ticket.gone, ticket.fate = True, "finished"
        self._usual_s += 0.1 * (monotonic() - ticket.since - self._usual_s)
        self.counts.update({"tokens": end.stats.new_tokens, "speech_seconds": end.stats.audio_s})

    def _fail(self, ticket: _Ticket, error: Exception) -> None:
        ticket.inbox.put(error)
        ticket.gone, ticket.fate = True, "failed"
