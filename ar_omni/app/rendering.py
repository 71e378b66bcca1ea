"""Turns as HTML. Everything that people or models wrote is escaped; media are addresses of our own routes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

from ar_omni.app.models import NO_ADAPTER, Choice
from ar_omni.app.turns import Turn
from ar_omni.commands import speed

MEDIA = "media"
"""Where the routes of media are, below the page."""
EXAMPLES = (
    ("picture", "Ask for a picture", "show me a red apple"),
    ("talk", "Small talk", "hello, how are you?"),
    ("brush", "In a style", "draw a cat in 3d style"),
    ("wave", "Ask aloud", None),
)
"""Icon, title, message: None is the recording of a question that comes with the package."""
ALOUD = "play the example question"
_ICONS = {
    "again": '<path d="M20 11a8 8 0 1 0-2.3 5.7M20 4v7h-7"/>',
    "edit": '<path d="M4 20h4L19 9l-4-4L4 16z"/>',
    "picture": '<rect x="3" y="4" width="18" height="16" rx="3"/><path d="m4 18 5-6 4 4 3-3 4 5"/>',
    "talk": '<path d="M21 12a8 8 0 0 1-8 8H4l2-4a8 8 0 1 1 15-4z"/>',
    "brush": '<path d="M20 4 10 14M9 15c-4 0-3 4-6 5 4 1 8 0 8-3a2 2 0 0 0-2-2z"/>',
    "wave": '<path d="M4 10v4M8 6v12M12 9v6M16 4v16M20 10v4"/>',
    "copy": '<rect x="9" y="9" width="11" height="11" rx="2"/><path d="M5 15V5a1 1 0 0 1 1-1h9"/>',
}


def icon(name: str) -> str:
    return f'<svg viewBox="0 0 24 24" aria-hidden="true">{_ICONS[name]}</svg>'


def address(conversation_id: str, turn: Turn, name: str) -> str:
    """Where a medium of a turn is."""
    return f"{MEDIA}/{conversation_id}/{turn.id}/{name}"


def conversation(conversation_id: str, turns: Iterable[Turn]) -> str:
    """Turns, one below the other."""
    return "".join(one_turn(conversation_id, turn) for turn in turns)


def one_turn(conversation_id: str, turn: Turn) -> str:
    """The message on the right, the reply on the left."""
    state = "ended" if turn.ended else "running"
    return (
        f'<article class="turn {state}" data-turn="{turn.id}" aria-busy="{str(not turn.ended).lower()}">'
        f"{_message(conversation_id, turn)}{_reply(conversation_id, turn)}</article>"
    )


def _message(conversation_id: str, turn: Turn) -> str:
    shown = []
    for index, part in enumerate(turn.parts):
        source = address(conversation_id, turn, f"asked-{index}")
        shown.append(_PARTS[part["type"]](part, source))
    if turn.transcript:
        shown.append(f'<p class="heard" title="What the model heard">“{_text(turn.transcript)}”</p>')
    texts = [part["text"] for part in turn.parts if part["type"] == "text"]
    tools = _tool("edit", "Edit and send again", escape(texts[0], quote=True)) if len(texts) == 1 else ""
    return (
        f'<div class="asked"><div class="bubble">{"".join(shown)}</div><div class="tools">{tools}</div></div>'
    )


_PARTS: dict[str, Callable[[Mapping[str, Any], str], str]] = {
    "text": lambda part, source: f"<p>{_text(part['text'])}</p>",
    "image": lambda part, source: f'<img src="{source}.png" alt="Your picture">',
    "audio": lambda part, source: _player(f"{source}.wav", "Your recording"),
}


def _reply(conversation_id: str, turn: Turn) -> str:
    shown = []
    if turn.text:
        shown.append(f'<p class="text">{_text(turn.text)}</p>')
    if turn.progress:
        shown.append(_picture(conversation_id, turn))
    if len(turn.speech) and turn.ended:
        shown.append(_player(address(conversation_id, turn, f"speech-{len(turn.speech)}.wav"), "Speech"))
    elif len(turn.speech):
        seconds = len(turn.speech) / turn.speech.sample_rate
        shown.append(f'<p class="speaking"><i></i><i></i><i></i> {seconds:.1f} s of speech</p>')
    if not shown and not turn.ended:
        shown.append('<p class="thinking"><i></i><i></i><i></i></p>')
    for notice in (turn.warning, turn.note):
        if notice:
            shown.append(f'<p class="note">{_text(notice)}</p>')
    tools = _tool("again", "Answer again") + (_tool("copy", "Copy the text") if turn.text else "")
    figures = f'<span class="figures">{latency(turn)}</span>' if turn.stats else ""
    foot = f'<div class="tools">{tools}{figures}</div>' if turn.ended else ""
    return f'<div class="reply"><div class="bubble">{"".join(shown)}</div>{foot}</div>'


def _picture(conversation_id: str, turn: Turn) -> str:
    percent = round(100 * turn.progress)
    version = "whole" if turn.whole else turn.previews
    source = address(conversation_id, turn, f"picture-{version}.png")
    image = f'<img src="{source}" alt="The picture that the model drew">' if turn.picture else ""
    bar = f'<progress max="100" value="{percent}"></progress>' if not turn.whole else ""
    return f'<figure class="picture {"whole" if turn.whole else ""}">{image}{bar}</figure>'


def _player(source: str, label: str) -> str:
    return f'<audio controls preload="metadata" src="{source}" aria-label="{label}"></audio>'


def _tool(name: str, title: str, text: str = "") -> str:
    return (
        f'<button type="button" class="tool" data-do="{name}" data-text="{text}" title="{title}" '
        f'aria-label="{title}">{icon(name)}</button>'
    )


def _text(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def welcome(model: str) -> str:
    """What an empty conversation shows: who is here, and what can be asked."""
    cards = "".join(
        f'<button type="button" class="example" data-do="example" data-text="{index}">'
        f'<span class="icon">{icon(name)}</span><b>{title}</b><span>{message or ALOUD}</span></button>'
        for index, (name, title, message) in enumerate(EXAMPLES)
    )
    return (
        f'<div class="welcome"><div class="orb"></div><h2>Talk with {escape(model)}</h2>'
        f"<p>Write, speak, or show a picture. The answer comes in words, speech and pictures, "
        f'while it is being made.</p><div class="examples">{cards}</div></div>'
    )


def latency(turn: Turn) -> str:
    """First-chunk time and real-time factor, and the seed that gives the same reply again."""
    stats = turn.stats
    voice = [speed(stats)] if stats.rtf is not None else []
    pace = f"{stats.new_tokens / max(stats.decode_s, 1e-9):.0f} tokens a second"
    return " · ".join([*voice, pace, f"seed {stats.seed}"])


def status(turn: Turn | None) -> str:
    """One line about what happens now."""
    if turn is None or turn.ended:
        return ""
    if turn.place is not None:
        ahead = f"{turn.place} ahead of you" if turn.place else "you are next"
        return f'<span class="waiting">Waiting: {ahead}</span>'
    return ""


def called(choice: Choice) -> str:
    """What people call it; as plain text."""
    return choice.model if choice.adapter == NO_ADAPTER else f"{choice.model} + {choice.adapter}"


def bar(choice: Choice, conversation_id: str) -> str:
    """The name of the model, and the link to the conversation as a file."""
    return (
        f'<span class="model">{escape(called(choice))}</span>'
        f'<a class="download" href="{MEDIA}/{conversation_id}/conversation.zip" download>Download</a>'
    )
