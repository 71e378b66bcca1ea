"""A conversation with memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil
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
        self._starts: list[tuple[int, int]] = []
        """For each message: where it starts, and where its reply does."""
        self._running: Iterator[Event] | None = None

    @property
    def turns(self) -> int:
        """How many messages it remembers, each with its reply."""
        return len(self._starts)

    @property
    def length(self) -> int:
        """How many ids it has read and written."""
        return len(self._sequence.ids)

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
            self._sequence.rewind(self._starts.pop()[0])

    def heard(self, seconds: float) -> None:
        """Only this much of the last reply's speech was heard: the rest is forgotten, and nothing else."""
        self._stop()
        if not self._starts:
            return
        ids, specials = self._sequence.ids, self.omni.processor.vocabulary.specials
        reply = range(self._starts[-1][1], len(ids))
        opener = next((i for i in reply if ids[i] == specials["boa"]), None)
        if opener is None:
            return
        closer = ids.index(specials["eoa"], opener)
        frames = seconds * self.omni.processor.speech_tokenizer.frame_rate
        kept = ceil(round(frames, 6))
        # a segment without codes is not legal, so speech that was not heard at all takes its marks along
        cut, rest = (opener + 1 + kept, closer) if kept else (opener, closer + 1)
        if cut < rest:
            tail = ids[rest:]
            self._sequence.rewind(cut)
            self._sequence.ids += tail

    def reset(self) -> None:
        """Forget everything."""
        self._stop()
        self._sequence, self._starts = Cached([]), []

    def _reply(self, turn: Turn) -> Iterator[Event]:
        start = len(self._sequence.ids)
        try:
            yield from self._run(turn)
        finally:
            self._settle(turn, start, start + len(turn.prompt))

    def _settle(self, turn: Turn, start: int, reply: int) -> None:
        """End the reply legally wherever it stopped; without one, forget the message too."""
        sequence = turn.row.sequence
        if len(sequence.ids) <= reply:
            sequence.rewind(start)
            return
        taken_back, appended = turn.row.controller.settle()
        sequence.rewind(len(sequence.ids) - taken_back)
        sequence.ids += appended
        self._starts.append((start, reply))

    def _stop(self) -> None:
        if self._running is not None:
            self._running.close()
            self._running = None
