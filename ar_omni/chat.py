"""A conversation with memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ar_omni.decoding import Sequence as Cached
from ar_omni.events import Event
from ar_omni.messages import check_parts
from ar_omni.planning import Request, plan_turn
from ar_omni.streaming import Reply, Turn, collect

if TYPE_CHECKING:
    from ar_omni.omni import AROmni


class Chat:
    """A conversation: `send` a message, get a reply. Only what is new is read; the rest is in the KV cache.

    Args:
        omni: the checkpoint.
        task: name of the preset and of the template.
        run: what decodes a planned turn; by default `omni` does, one turn at a time.
    """

    def __init__(
        self, omni: AROmni, task: str = "chat", run: Callable[[Turn], Iterator[Event]] | None = None
    ):
        self.omni, self.task = omni, task
        self._run = run or omni.run
        self._sequence = Cached([])
        self._starts: list[int] = []
        self._running: Iterator[Event] | None = None

    def stream(self, content: Any, **kwargs: Any) -> Iterator[Event]:
        """Reply to a message, event by event.

        Closing the generator, or the next message, stops the reply; the conversation keeps what came of it,
        but for an unfinished picture.

        Args:
            content: a str, `Audio`, PIL picture, message part, or list of these.
            kwargs: as in `AROmni.stream`, but for the task.
        """
        self._stop()
        messages = [{"role": "user", "content": check_parts(content, "user")}]
        request = Request.of(**{**kwargs, "task": self.task})
        self._running = self._reply(plan_turn(self.omni, messages, request, self._sequence))
        return self._running

    def send(self, content: Any, **kwargs: Any) -> Reply:
        """The collected `stream`.

        Args:
            content: as in `stream`.
            kwargs: as in `stream`.
        """
        return collect(self.stream(content, **kwargs))

    def undo(self) -> None:
        """Forget the last message and its reply."""
        self._stop()
        if self._starts:
            self._sequence.rewind(self._starts.pop())

    def reset(self) -> None:
        """Forget everything."""
        self._stop()
        self._sequence, self._starts = Cached([]), []

    def _reply(self, turn: Turn) -> Iterator[Event]:
        start = len(self._sequence.ids)
        try:
            yield from self._run(turn)
        finally:
            self._settle(turn, start)

    def _settle(self, turn: Turn, start: int) -> None:
        """End the reply legally wherever it stopped; without one, forget the message too."""
        sequence = turn.row.sequence
        if len(sequence.ids) <= start + len(turn.prompt):
            sequence.rewind(start)
            return
        taken_back, appended = turn.row.controller.settle()
        sequence.rewind(len(sequence.ids) - taken_back)
        sequence.ids += appended
        self._starts.append(start)

    def _stop(self) -> None:
        if self._running is not None:
            self._running.close()
            self._running = None
