"""Conversations in the terminal: events become lines and files as they come."""

from __future__ import annotations

import json
import shutil
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from ar_omni.commands import load_model, speed
from ar_omni.errors import AROmniError, InputError
from ar_omni.events import ImageProgress, SegmentEnd, SegmentStart, TextDelta, TranscriptDelta
from ar_omni.media import load_audio, load_image, replacing, save_image

QUESTION = Path(__file__).parent / "assets" / "question.wav"
HELP = "Type a message. /image FILE and /audio FILE send a file, /reset starts afresh, /quit ends."
ALL = ("text", "image", "speech")

_LABELS = {"transcript": "heard", "text": "reply", "image": "picture", "speech": "speech"}
_STARTED = time.perf_counter()

Say = Callable[[str], None]


def demo(args: Namespace) -> dict:
    """`ar-omni demo [--out DIR]`: one spoken question, answered in text, picture and speech."""
    from ar_omni.streaming import collect

    folder = _folder(args.out)
    say = _say(args)
    say(f"question   {QUESTION}\n")
    question = {"type": "audio", "audio": load_audio(QUESTION)}
    events = load_model(args).stream([{"role": "user", "content": [question]}], outputs=ALL, seed=args.seed)
    began: list[float] = []
    reply = collect(_shown(events, say, began))
    files = {"question": str(folder / QUESTION.name)} | _save(reply, folder)
    shutil.copyfile(QUESTION, files["question"])
    say(f"\nanswer began {began[0]:.1f} s after the start; {speed(reply.stats)}\n")
    say("".join(f"saved      {path}\n" for path in files.values()))
    return {
        "transcript": reply.transcript,
        "text": reply.text,
        "files": files,
        "answer_began_s": began[0],
        "stats": asdict(reply.stats),
    }


def chat(args: Namespace) -> None:
    """`ar-omni chat [--speak] [--image F] [--audio F]`: a conversation that keeps its context."""
    from ar_omni.streaming import collect

    first = [
        {"type": kind, kind: load(path)}
        for kind, load, path in (("image", load_image, args.image), ("audio", load_audio, args.audio))
        if path
    ]
    folder = _folder(args.out)
    say = _say(args)
    talk = load_model(args).chat()
    say(HELP + "\n")
    for turn, parts in enumerate(_turns(first, say, talk.reset), 1):
        try:
            outputs = ALL if args.speak else ALL[:2]
            reply = collect(_shown(talk.stream(parts, outputs=outputs, seed=args.seed), say, []))
        except AROmniError as error:
            say(f"{error}\n")
            continue
        files = _save(reply, folder, f"{turn:02d}-")
        say("".join(f"saved      {path}\n" for path in files.values()))
        if args.json:
            print(
                json.dumps({"transcript": reply.transcript, "text": reply.text, "files": files}), flush=True
            )


def _turns(first: list[dict], say: Say, reset: Callable[[], None]) -> Iterator[list[dict]]:
    """The user's messages: files wait for the next line of text, a recording is a message by itself."""
    waiting = first
    while True:
        if any(part["type"] == "audio" for part in waiting):
            yield waiting
            waiting = []
        say("\nyou        ")
        line = sys.stdin.readline()
        word, _, path = line.strip().partition(" ")
        if not line or word == "/quit":
            return
        if word == "/reset":
            reset()
            waiting = []
        elif word in _FILES:
            kind, load = _FILES[word]
            try:
                waiting = [*waiting, {"type": kind, kind: load(path.strip())}]
            except InputError as error:
                say(f"{error}\n")
        elif word.startswith("/"):
            say(HELP + "\n")
        elif word:
            yield [*waiting, {"type": "text", "text": line.strip()}]
            waiting = []


_FILES = {"/image": ("image", load_image), "/audio": ("audio", load_audio)}


def _shown(events: Iterable, say: Say, began: list[float]) -> Iterator:
    """Passes events through, says them as they come, and notes when the answer began."""
    for event in events:
        if not began and not isinstance(event, SegmentStart):
            began.append(time.perf_counter() - _STARTED)
        match event:
            case SegmentStart(modality=modality):
                say(f"{_LABELS[modality]:<11}")
            case TextDelta(text=text) | TranscriptDelta(text=text):
                say(text)
            case ImageProgress(done=done, total=total):
                say(f"\r{_LABELS['image']:<11}{done} of {total}")
            case SegmentEnd():
                say("\n")
        yield event


def _save(reply, folder: Path, prefix: str = "") -> dict[str, str]:
    """Write what the reply holds into `folder`; returns kind -> file."""
    files = {
        kind: str(folder / f"{prefix}{name}")
        for kind, name in (("text", "reply.txt"), ("image", "picture.png"), ("speech", "reply.wav"))
    }
    present = {"text": reply.text, "image": reply.image, "speech": reply.audio}
    files = {kind: path for kind, path in files.items() if present[kind] is not None}
    if "text" in files:
        with replacing(files["text"]) as temporary:
            temporary.write_text(reply.text + "\n", encoding="utf-8")
    if "image" in files:
        save_image(reply.image, files["image"])
    if "speech" in files:
        reply.audio.save(files["speech"])
    return files


def _folder(path: str) -> Path:
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"expected a folder to write into, got the file {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _say(args: Namespace) -> Say:
    """Prints at once, or not at all with `--json`."""
    return (lambda text: None) if args.json else (lambda text: print(text, end="", flush=True))
