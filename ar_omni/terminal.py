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
from typing import TYPE_CHECKING

from ar_omni.commands import load_model, speed
from ar_omni.errors import AROmniError, InputError
from ar_omni.events import (
    Event,
    ImageProgress,
    ImageReady,
    SegmentEnd,
    SegmentStart,
    SpeechChunk,
    TextDelta,
    TranscriptDelta,
)
from ar_omni.media import load_audio, load_image, replacing, save_image

if TYPE_CHECKING:
    from ar_omni.omni import Reply

QUESTION = Path(__file__).parent / "assets" / "question.wav"
HELP = "Type a message. /image FILE and /audio FILE send a file, /reset starts afresh, /quit ends."
ALL = ("text", "image", "speech")

_LABELS = {"transcript": "heard", "text": "reply", "image": "picture", "speech": "speech"}
_READERS = {"image": load_image, "audio": load_audio}
_STARTED = time.perf_counter()

Say = Callable[[str], None]


def demo(args: Namespace) -> dict:
    """`ar-omni demo [--out DIR]`: one spoken question, answered in text, picture and speech."""
    from ar_omni.streaming import collect

    folder = _folder(args.out)
    say = _say(args)
    say(f"question   {QUESTION}\n")
    question = _part("audio", QUESTION)
    events = load_model(args).stream([{"role": "user", "content": [question]}], outputs=ALL, seed=args.seed)
    began: list[float] = []
    reply = collect(_shown(events, say, began))
    files = {"question": str(folder / QUESTION.name), **_save(reply, folder)}
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

    given = {kind: getattr(args, kind) for kind in _READERS}
    first = [_part(kind, path) for kind, path in given.items() if path]
    folder = _folder(args.out)
    say = _say(args)
    talk = load_model(args).chat()
    outputs = ALL if args.speak else ("text", "image")
    say(HELP + "\n")
    for turn, parts in enumerate(_turns(first, say, talk.reset), 1):
        try:
            reply = collect(_shown(talk.stream(parts, outputs=outputs, seed=args.seed), say, []))
        except AROmniError as error:
            say(f"{error}\n")
            continue
        files = _save(reply, folder, f"{turn:02d}-")
        say("".join(f"saved      {path}\n" for path in files.values()))
        if args.json:
            result = {"transcript": reply.transcript, "text": reply.text, "files": files}
            print(json.dumps(result, ensure_ascii=False), flush=True)


def _turns(first: list[dict], say: Say, reset: Callable[[], None]) -> Iterator[list[dict]]:
    """The user's messages: a picture waits for the next line of text, a recording is sent at once."""
    waiting = first
    while True:
        if any(part["type"] == "audio" for part in waiting):
            yield waiting
            waiting = []
        say("\nyou        ")
        line = sys.stdin.readline()
        command, _, path = line.strip().partition(" ")
        if not line or command == "/quit":
            return
        if command == "/reset":
            reset()
            waiting = []
        elif command[1:] in _READERS and command[0] == "/":
            try:
                waiting = [*waiting, _part(command[1:], path.strip())]
            except InputError as error:
                say(f"{error}\n")
        elif command.startswith("/"):
            say(HELP + "\n")
        elif command:
            yield [*waiting, {"type": "text", "text": line.strip()}]
            waiting = []


def _part(kind: str, path: str | Path) -> dict:
    return {"type": kind, kind: _READERS[kind](path)}


def _shown(events: Iterable[Event], say: Say, began: list[float]) -> Iterator[Event]:
    """Passes events through, says them as they come, and notes when the answer began."""
    live = sys.stdout.isatty()
    seconds = 0.0
    for event in events:
        if not began and not isinstance(event, SegmentStart):
            began.append(time.perf_counter() - _STARTED)
        match event:
            case SegmentStart(modality=modality):
                say(f"{_LABELS[modality]:<11}")
            case TextDelta(text=text) | TranscriptDelta(text=text):
                say(text)
            case ImageProgress(done=done, total=total) if live:
                say(f"\rpicture    {done / total:4.0%}")
            case ImageReady(image=image):
                say(f"{image.width} x {image.height} pixels" if not live else "")
            case SpeechChunk(pcm=pcm, sample_rate=rate):
                seconds += len(pcm) / rate
                say(f"\rspeech     {seconds:.1f} s" if live else "")
            case SegmentEnd(modality=modality):
                say(f"{seconds:.1f} s\n" if modality == "speech" and not live else "\n")
        yield event


def _save(reply: Reply, folder: Path, prefix: str = "") -> dict[str, str]:
    """Write what the reply holds into `folder`; returns kind -> file."""
    files = {}
    if reply.text:
        files["text"] = folder / f"{prefix}reply.txt"
        with replacing(files["text"]) as temporary:
            temporary.write_text(reply.text + "\n", encoding="utf-8")
    if reply.image is not None:
        files["image"] = folder / f"{prefix}picture.png"
        save_image(reply.image, files["image"])
    if reply.audio is not None:
        files["speech"] = folder / f"{prefix}reply.wav"
        reply.audio.save(files["speech"])
    return {kind: str(path) for kind, path in files.items()}


def _folder(path: str) -> Path:
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"expected a folder to write into, got the file {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _say(args: Namespace) -> Say:
    """Prints at once, or not at all with `--json`."""
    return (lambda text: None) if args.json else (lambda text: print(text, end="", flush=True))
