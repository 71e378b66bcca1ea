"""What all routes share: the model, its engine, the limits, and blocking events made async."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from anyio import CancelScope, CapacityLimiter, to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request as HTTPRequest

from ar_omni.chat import Chat
from ar_omni.events import Event
from ar_omni.omni import AROmni
from ar_omni.planning import Request, plan_turn
from ar_omni.processing import Message, check_messages
from ar_omni.serving.engine import Engine, Waiting
from ar_omni.streaming import Reply, collect


@dataclass(frozen=True)
class Limits:
    """How much a server takes on.

    Attributes:
        slots: most replies decoded at once.
        room: most replies that wait; more get status 429.
        sessions: most WebSockets open at once.
        body_bytes: most bytes of a request, or of one WebSocket message.
        reply_s: most seconds of a reply.
        grace_s: seconds that replies have to end when the server stops.
    """

    slots: int = 8
    room: int = 32
    sessions: int = 32
    body_bytes: int = 32 * 2**20
    reply_s: float = 300.0
    grace_s: float = 30.0


class Service:
    """One model for all requests.

    Args:
        omni: the model.
        name: by which clients ask for it.
        limits: of the server.
        api_key: what clients must send; None lets everyone in.
    """

    def __init__(
        self, omni: AROmni, name: str = "nano", limits: Limits | None = None, api_key: str | None = None
    ):
        self.omni, self.name, self.limits, self.api_key = omni, name, limits or Limits(), api_key
        self.engine = Engine(omni, self.limits.slots, self.limits.room, self.limits.reply_s)
        readers = self.limits.slots + self.limits.room + self.limits.sessions
        self._readers = CapacityLimiter(readers + 4)
        self._planning = threading.Lock()

    async def plan(self, prepare: Callable[[], Any]) -> Any:
        """Run what encodes media or text: in a thread, one at a time."""

        def locked() -> Any:
            with self._planning:
                return prepare()

        return await to_thread.run_sync(locked)

    async def events(self, messages: Callable[[], list[Message]], request: Request) -> AsyncIterator[Event]:
        """The first event is awaited before this returns: by then all that can be refused was.

        Args:
            messages: makes the conversation, in a thread.
            request: what is asked for.

        Raises:
            InputError: a message or argument that cannot be used.
            BusyError: too many replies wait.
        """
        turn = await self.plan(lambda: plan_turn(self.omni, check_messages(messages()), request))
        return await self.begun(self.engine.run(turn))

    async def begun(self, stream: Iterator[Event]) -> AsyncIterator[Event]:
        """A stream whose first event has come."""
        steps = self.stepped(stream)
        first = await anext(steps)

        async def rest() -> AsyncIterator[Event]:
            async with aclosing(steps):
                yield first
                async for event in steps:
                    yield event

        return rest()

    async def stepped(self, stream: Iterator[Event]) -> AsyncIterator[Event]:
        """A blocking stream, read in threads; it is closed however this ends.

        A cancelled task may leave a thread behind that still reads, so closing waits for it.
        """
        reading = threading.Lock()

        def advance() -> Event | None:
            with reading:
                return next(stream, None)

        def close() -> None:
            with reading:
                stream.close()

        try:
            while (event := await to_thread.run_sync(advance, limiter=self._readers)) is not None:
                yield event
        finally:
            with CancelScope(shield=True):
                await to_thread.run_sync(close)

    def chat(self) -> Chat:
        """A conversation that shares the batch with everyone else."""
        return Chat(self.omni, run=self.engine.run)


async def collected(http: HTTPRequest, events: AsyncIterator[Event | Waiting]) -> Reply:
    """The whole reply, unless the client goes away before."""
    found = []
    async with aclosing(events):
        async for event in events:
            if await http.is_disconnected():
                raise HTTPException(499, "the client has gone")
            found.append(event)
    return collect(found)
