"""The grammar of a reply as a finite-state machine: which ids are legal now, and how to choose among them.

State      entered by                   legal ids                              left by
TEXT       start, eoi, eoa, res         text, openers, the end of the reply    boi, boa, ins, the end
TRANSCRIPT ins                          text, res                              res
IMAGE      boi                          image codes; after the N-th only eoi   eoi
SPEECH     boa                          speech codes, eoa                      eoa
END        eom or eos, the budget       none                                   -

Each row of a batch has its own controller; it knows ids and counts only, no tensors.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ar_omni.decoding.options import Options, StateOptions
from ar_omni.errors import InputError
from ar_omni.vocabulary import Span, Vocabulary


class State(StrEnum):
    """Where in its grammar a reply is; the values are the names in `Options`."""

    TEXT = "text"
    TRANSCRIPT = "transcript"
    IMAGE = "image"
    SPEECH = "speech"
    END = "end"


SEGMENTS = {"ins": (State.TRANSCRIPT, "res"), "boi": (State.IMAGE, "eoi"), "boa": (State.SPEECH, "eoa")}
"""Opener -> the state it enters and the closer that leaves it."""

SPANS = {State.TEXT: "text", State.TRANSCRIPT: "text", State.IMAGE: "image", State.SPEECH: "speech"}
OPENERS = {"image": "boi", "speech": "boa"}
MAX_PERIOD = 8


@dataclass(frozen=True)
class Plan:
    """What a reply must and may hold.

    Attributes:
        script: openers that are forced in this order, first the one before anything else.
        media: openers that are legal in TEXT.
        required: those of `media` without which the reply may not end; they come before the others.
        text: whether the reply has TEXT at all; without, it ends after its script.
        end: the control id that ends it, `"eom"` or `"eos"`.
    """

    script: tuple[str, ...] = ()
    media: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    text: bool = True
    end: str = "eom"


def plan_reply(
    outputs: Sequence[str], end: str = "eom", transcript: str = "never", spoken: bool = False
) -> Plan:
    """The plan of a task's reply.

    Args:
        outputs: of `"text"`, `"image"`, `"speech"`.
        end: the control id that ends the reply.
        transcript: as in `TaskTemplate`: `"never"`, `"spoken"` or `"only"`.
        spoken: whether the user's last message holds speech.
    """
    heard = ("ins",) if transcript == "only" or (transcript == "spoken" and spoken) else ()
    if transcript == "only":
        return Plan(heard, text=False, end=end)
    media = tuple(opener for name, opener in OPENERS.items() if name in outputs)
    if "text" not in outputs:
        return Plan(heard + media, text=False, end=end)
    return Plan(heard, media, ("boa",) if "boa" in media else (), end=end)


@dataclass(frozen=True)
class Rule:
    """What is legal now.

    Attributes:
        state: the state that chooses.
        span: contiguous legal ids, or None.
        exits: (id the model may want, id that it then gives): where a wish is not granted, another way out.
        options: how to choose.
    """

    state: State
    span: Span | None
    exits: tuple[tuple[int, int], ...]
    options: StateOptions

    @property
    def forced(self) -> int | None:
        """The id, when there is no choice."""
        if self.span is None and len({given for _, given in self.exits}) == 1:
            return self.exits[0][1]
        return None

    def id(self, index: int) -> int:
        """The id to emit for an index into the scores of `span` followed by those of the wanted exits."""
        size = len(self.span) if self.span else 0
        return self.span.start + index if index < size else self.exits[index - size][1]


class Controller:
    """Follows one reply: `rule()` says what may come, `push(id)` moves on.

    Args:
        vocabulary: the checkpoint's ids.
        plan: what the reply must and may hold.
        options: the task's preset.
        codes_per_image: codes between boi and eoi.
        budget: most ids of the reply, closers included; None takes `options.max_new_tokens`.

    Raises:
        InputError: a budget too small for what the plan forces.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        plan: Plan,
        options: Options,
        codes_per_image: int,
        budget: int | None = None,
    ):
        self.vocabulary, self.plan, self.options = vocabulary, plan, options
        self.codes_per_image = codes_per_image
        self.left = options.max_new_tokens if budget is None else budget
        self.state = State.TEXT
        self.count = 0
        """Tokens of the current segment so far."""
        self.text_ids: set[int] = set()
        """Ids that TEXT has used, for the repetition penalty."""
        self.cut: str | None = None
        """The first limit that closed something."""
        self._script = deque(plan.script)
        self._used: Counter[str] = Counter()
        self._closer: int | None = None
        self._recent: deque[int] = deque(maxlen=MAX_PERIOD)
        self._runs = [0] * MAX_PERIOD
        least = self._cost_to_end() + (1 if plan.text else 0)
        if self.left < least:
            raise InputError(
                f"expected room for at least {least} new tokens, got {self.left}; "
                "raise max_new_tokens, or shorten the prompt"
            )

    @property
    def done(self) -> bool:
        return self.state is State.END

    def rule(self) -> Rule:
        """What is legal now; not to be called once `done`."""
        state = self.state
        span, own = getattr(self.vocabulary, SPANS[state]), getattr(self.options, state)
        if self.left <= self._cost_to_end() and not self._owes_codes():
            chose = state is not State.IMAGE and (state is not State.TEXT or self._is_free())
            return Rule(state, None, self._forced("max_new_tokens" if chose else None), own)
        span, exits = _RULES[state](self, span)
        return Rule(state, span, exits, own)

    def push(self, token_id: int) -> State:
        """Move on by one emitted id.

        Returns:
            the state that the id belongs to: an opener and a closer to their segment, the last id to END.
        """
        self.left -= 1
        if self.state is State.TEXT:
            return self._push_text(token_id)
        state = self.state
        if token_id == self._closer:
            self._enter(State.TEXT)
        else:
            self.count += 1
            if state is State.SPEECH:
                self._watch(token_id)
        return state

    def settle(self) -> tuple[int, list[int]]:
        """How to end an interrupted reply legally: (last ids to take back, ids to append)."""
        if self.done:
            return 0, []
        end = self.vocabulary.specials[self.plan.end]
        if self.state is State.TEXT:
            return 0, [end]
        if self.state is State.IMAGE or not self.count:  # no such segment can be closed
            return self.count + 1, [end]
        return 0, [self._closer, end]

    def _push_text(self, token_id: int) -> State:
        ids = self.vocabulary
        if token_id == ids.specials[self.plan.end]:
            self._enter(State.END)
            return State.END
        for opener, (state, closer) in SEGMENTS.items():
            if token_id == ids.specials[opener]:
                if self._script and self._script[0] == opener:
                    self._script.popleft()
                self._used[opener] += 1
                self._enter(state)
                self._closer = ids.specials[closer]
                return state
        self.count += 1
        self.text_ids.add(token_id)
        return State.TEXT

    def _enter(self, state: State) -> None:
        self.state, self.count = state, 0
        self._recent.clear()
        self._runs = [0] * MAX_PERIOD

    def _watch(self, token_id: int) -> None:
        """Count, for every period p, how many codes in a row equal the one p before."""
        for p, earlier in enumerate(reversed(self._recent)):
            self._runs[p] = self._runs[p] + 1 if token_id == earlier else 0
        self._recent.append(token_id)

    def _is_free(self) -> bool:
        """Whether TEXT may choose, once the script is done."""
        return self.plan.text and not self._script

    def _owes_codes(self) -> bool:
        """Whether the segment is too short to be closed."""
        least = {State.IMAGE: self.codes_per_image, State.SPEECH: 1}
        return self.count < least.get(self.state, 0)

    def _cost_to_end(self) -> int:
        """How many ids the shortest legal way to the end takes from here, the end included."""
        least = {"ins": 0, "boi": self.codes_per_image, "boa": 1}
        cost = 1 + sum(least[opener] + 2 for opener in self._script)
        if self.state is State.TEXT:
            return cost
        opener = next(name for name, (state, _) in SEGMENTS.items() if state is self.state)
        return cost + 1 + max(0, least[opener] - self.count)

    def _forced(self, why: str | None) -> tuple[tuple[int, int], ...]:
        """The one way out of the current state."""
        self.cut = self.cut or why
        ids = self.vocabulary.specials
        if self.state is not State.TEXT:
            return ((self._closer, self._closer),)
        forced = ids[self._script[0] if self._script else self.plan.end]
        return ((forced, forced),)

    def _text_rule(self, span: Span) -> tuple[Span | None, tuple[tuple[int, int], ...]]:
        if not self._is_free():
            return None, self._forced(None)
        ids, end = self.vocabulary.specials, self.plan.end
        least = {"boi": self.codes_per_image + 3, "boa": 4}  # opener, codes, closer, end

        def open_to(opener: str) -> bool:
            fresh = opener in self.plan.media and self._used[opener] < self.options.max_segments
            return fresh and self.left >= least[opener]

        answered = any(self._used[opener] for opener in OPENERS.values())  # a transcript is no answer
        if not answered and self.count < self.options.min_text_tokens:
            return span, ()
        openers = [opener for opener in self.plan.media if open_to(opener)]
        owed = [opener for opener in openers if opener in self.plan.required and not self._used[opener]]
        given = {opener: owed[0] if owed else opener for opener in openers}  # what is owed comes first
        if self.count or answered:  # where no medium is open, who wants one has said all
            closed = () if openers else tuple(OPENERS.values())
            given |= dict.fromkeys((*closed, "eom", "eos"), owed[0] if owed else end)
        exits = tuple((ids[wanted], ids[name]) for wanted, name in given.items())
        limit = self.options.text.limit
        if limit and self.count >= limit:
            self.cut = self.cut or "text limit"
            return None, exits
        return span, exits

    def _transcript_rule(self, span: Span) -> tuple[Span | None, tuple[tuple[int, int], ...]]:
        limit = self.options.transcript.limit
        if limit and self.count >= limit:
            return None, self._forced("transcript limit")
        return span, ((self._closer, self._closer),)

    def _image_rule(self, span: Span) -> tuple[Span | None, tuple[tuple[int, int], ...]]:
        return (span, ()) if self.count < self.codes_per_image else (None, self._forced(None))

    def _speech_rule(self, span: Span) -> tuple[Span | None, tuple[tuple[int, int], ...]]:
        limit, stuck = self.options.speech.limit, self.options.speech_repetition_limit
        if limit and self.count >= limit:
            return None, self._forced("speech limit")
        if stuck and max(self._runs) >= stuck:
            return None, self._forced("speech repetition limit")
        return span, ((self._closer, self._closer),) if self.count else ()


_RULES = {
    State.TEXT: Controller._text_rule,
    State.TRANSCRIPT: Controller._transcript_rule,
    State.IMAGE: Controller._image_rule,
    State.SPEECH: Controller._speech_rule,
}
