"""Spoken requests, and conversations whose turns are judged by rule: scripted ones, and what is unknown."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ar_omni.errors import InputError
from ar_omni.evaluation.bench import Bench, Result, Row, column
from ar_omni.evaluation.figures import Figure, ratio
from ar_omni.evaluation.heldout import Gallery, Turn
from ar_omni.evaluation.judges import nearest, normalise, word_errors, words_in_order
from ar_omni.evaluation.speech import spoken_row
from ar_omni.streaming import Reply

if TYPE_CHECKING:
    from ar_omni.chat import Chat

OUTPUTS = ("text", "image", "speech")
KNOWN = "known, in other words"
"""The kind of question that `limits` asks about things that a model knows."""
HEARD = 0.25
"""Word error rate up to which a question was heard well enough; one wrong word is always forgiven."""
EXPLAINED = 0.8
"""Share of an explanation's words that a right one says, in order; other answers are said to the word."""


def _heard(turn: Turn, reply: Reply, _: Gallery) -> bool:
    if not turn.spoken:
        return True
    errors, words = word_errors(turn.said, reply.transcript or "")
    return errors <= max(1, HEARD * words)


def _said(turn: Turn, reply: Reply, _: Gallery) -> bool:
    text = reply.text or ""
    if turn.kind == "explain":
        return words_in_order(turn.answer, text) >= EXPLAINED
    return normalise(text) == normalise(turn.answer)


def _drawn(turn: Turn, reply: Reply, gallery: Gallery) -> bool:
    if turn.drawn is None or reply.image is None:
        return turn.drawn is None and reply.image is None
    name, style = nearest(reply.image, gallery)
    return name == turn.drawn[0] and turn.drawn[1] in (None, style)


RULES: dict[str, Callable[[Turn, Reply, Gallery], bool]] = {"heard": _heard, "text": _said, "picture": _drawn}


def spoken(bench: Bench) -> Result:
    """Hears requests for pictures, and answers with a transcript, text, a picture and speech."""
    rows: list[Row] = []
    for request in bench.each(bench.held_out.requests, "spoken"):
        message = {"role": "user", "content": [{"type": "audio", "audio": bench.read(request.text)}]}
        reply = bench.omni.generate([message], outputs=OUTPUTS, seed=bench.seed)
        errors, words = word_errors(request.text, reply.transcript or "")
        drawn = reply.image is not None and nearest(reply.image, bench.held_out.gallery)[0] == request.name
        row = {"request": request.text, "transcript": reply.transcript, "reply": reply.text, "drawn": drawn}
        complete = all((reply.transcript, reply.text, reply.image is not None, reply.audio is not None))
        row |= {"request_errors": errors, "request_words": words, "complete": complete}
        row |= spoken_row(bench, reply.text or "", reply)
        rows.append(row | bench.keep("spoken", len(rows), image=reply.image, audio=reply.audio))
    return {
        "transcript WER": ratio(column(rows, "request_errors"), column(rows, "request_words")),
        "right picture": ratio(column(rows, "drawn"), better="higher"),
        "replies with all parts": ratio(column(rows, "complete"), better="higher"),
        "WER of the spoken reply": ratio(column(rows, "errors"), column(rows, "words")),
    }, rows


def chat(bench: Bench) -> Result:
    """Holds scripted conversations of several turns; each turn must be right in every way that it can be."""
    scripts = bench.each(bench.held_out.scripts, "chat")
    rows = [row for number, script in enumerate(scripts) for row in _held(bench, "chat", number, script)]
    return {"turns answered rightly": _rightly(rows), **_by_kind(rows)}, rows


def limits(bench: Bench) -> Result:
    """Asks for things that it was never told of, and, as people do, for things that it was.

    Where such a thing's name is said, it is not judged how it was written down: nobody can know its spelling.
    """
    rows: list[Row] = []
    for kind in dict.fromkeys(turn.kind for turn in bench.held_out.questions):
        own = [turn for turn in bench.held_out.questions if turn.kind == kind]
        for turn in bench.each(own, f"limits: {kind}"):
            rows += _held(bench, "limits", len(rows), [turn], ("text", "image"), ("text", "picture"))
    unknown = [row for row in rows if row["kind"] != KNOWN]
    return {"honest about unknown things": _rightly(unknown), **_by_kind(rows)}, rows


def _held(
    bench: Bench,
    suite: str,
    number: int,
    script: Sequence[Turn],
    outputs: Sequence[str] = OUTPUTS,
    rules: Collection[str] = tuple(RULES),
) -> Iterator[Row]:
    """A conversation, turn by turn; a turn is right by those of `RULES` that are named."""
    talk = bench.omni.chat()
    for place, turn in enumerate(script):
        said = bench.read(turn.said) if turn.spoken else turn.said
        shown = bench.held_out.pictures[turn.shown] if turn.shown else None
        reply = _reply(talk, [said] if shown is None else [shown, said], outputs, bench.seed)
        row = {"script": number, "kind": turn.kind, "said": turn.said, "spoken": turn.spoken}
        row |= judge(turn, reply, bench.held_out.gallery, rules)
        media = {"reference": shown, "image": reply.image, "audio": reply.audio}
        yield row | bench.keep(suite, 10 * number + place, **media)  # of fewer than ten turns


def _by_kind(rows: Sequence[Row]) -> dict[str, Figure]:
    kinds = dict.fromkeys(row["kind"] for row in rows)
    return {f"rightly: {kind}": _rightly([row for row in rows if row["kind"] == kind]) for kind in kinds}


def _reply(talk: Chat, content: list[Any], outputs: Sequence[str], seed: int) -> Reply:
    """The reply, or an empty one if what was said before, babble maybe, has filled the model's context."""
    try:
        return talk.send(content, outputs=outputs, seed=seed)
    except InputError:
        return Reply()


def judge(turn: Turn, reply: Reply, gallery: Gallery, rules: Collection[str] = tuple(RULES)) -> Row:
    """What came of a turn, and by which of the rules it is right; `right` if by all of them."""
    found = {f"{name}_right": RULES[name](turn, reply, gallery) for name in rules}
    drawn = reply.image and "{} ({})".format(*nearest(reply.image, gallery))
    row = {"transcript": reply.transcript, "reply": reply.text, "answer": turn.answer, "drawn": drawn}
    return row | found | {"right": all(found.values())}


def _rightly(rows: Sequence[Row]) -> Figure:
    """The share of right turns; whole conversations are resampled, for their turns hang together."""
    scripts = dict.fromkeys(row["script"] for row in rows)
    turns = [[row["right"] for row in rows if row["script"] == script] for script in scripts]
    return ratio([sum(own) for own in turns], [len(own) for own in turns], better="higher")
