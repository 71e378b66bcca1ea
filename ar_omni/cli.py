"""The command line: a table of commands, their flags, and how each failure ends.

Exit status: 0; 2 and one line on stderr for what is wrong with the input; 1 and one line for trouble with
the system (a full disk, a file that may not be written); 130 when interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import NoReturn

from ar_omni import __version__
from ar_omni.errors import AROmniError, InputError

Flag = tuple[tuple[str, ...], dict]

EVALUATION_SUITES = ("codec", "tts", "asr", "draw", "describe", "spoken", "chat", "limits", "all")


def _flag(*names: str, **options) -> Flag:
    return names, options


def _output(metavar: str) -> Flag:
    return _flag("-o", "--output", required=True, metavar=metavar, help="the file to write")


_MODEL = _flag("--model", metavar="M", help="a checkpoint folder or hub id (default: the bundled nano)")
_SEED = _flag("--seed", type=int, default=0, metavar="N", help="of everything that is sampled (default: 0)")
_JSON = _flag("--json", action="store_true", help="print one json object instead of text")
_COMMON = (_MODEL, _SEED, _JSON)
_SERVED = (
    _flag("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)"),
    _flag("--port", type=int, metavar="N", help="port to listen on"),
)
_SECURED = (
    _flag("--ssl-certfile", metavar="F", help="serve HTTPS with this certificate"),
    _flag("--ssl-keyfile", metavar="F", help="and this key"),
)


@dataclass(frozen=True)
class Command:
    """One subcommand: the function "module:name" takes the parsed flags and returns what --json prints."""

    name: str
    function: str
    help: str
    flags: tuple[Flag, ...] = ()


COMMANDS = (
    Command(
        "demo",
        "ar_omni.terminal:demo",
        "speak a question to the model; save its spoken reply, text and picture",
        (
            _flag(
                "--out",
                default="ar-omni-demo",
                metavar="DIR",
                help="folder for the files (default: ar-omni-demo)",
            ),
        ),
    ),
    Command(
        "speak",
        "ar_omni.commands:speak",
        "text to speech",
        (_flag("text", metavar="TEXT", help="what to say"), _output("OUT.wav")),
    ),
    Command(
        "transcribe",
        "ar_omni.commands:transcribe",
        "speech to text",
        (_flag("audio", metavar="IN.wav", help="a wav, flac, ogg or mp3 recording"),),
    ),
    Command(
        "draw",
        "ar_omni.commands:draw",
        "text to picture",
        (
            _flag("prompt", metavar="PROMPT", help='what to draw, such as "a red apple"'),
            _output("OUT.png"),
            _flag("--style", metavar="S", help="a style that the model knows; nano: classic, flat, 3d"),
        ),
    ),
    Command(
        "describe",
        "ar_omni.commands:describe",
        "picture to text",
        (_flag("image", metavar="IN.png", help="a png, jpeg, webp or gif picture"),),
    ),
    Command(
        "chat",
        "ar_omni.terminal:chat",
        "talk in the terminal, streaming",
        (
            _flag("--speak", action="store_true", help="replies are spoken, too"),
            _flag("--image", metavar="F", help="a picture to send with the first message"),
            _flag("--audio", metavar="F", help="a recording to send as the first message"),
            _flag("--out", default="ar-omni-chat", metavar="DIR", help="folder for pictures and speech"),
        ),
    ),
    Command(
        "app",
        "ar_omni.app.command:main",
        "the chat app in the browser",
        (
            *_SERVED,
            _flag(
                "--models", default=".", metavar="DIR", help="offer the models below this folder (default: .)"
            ),
            _flag("--max-models", type=int, default=2, metavar="N", help="loaded at once (default: 2)"),
            _flag("--max-users", type=int, default=16, metavar="N", help="people at once (default: 16)"),
            _flag("--slots", type=int, default=4, metavar="N", help="replies at once (default: 4)"),
            _flag("--max-upload-mb", type=int, default=32, metavar="N", help="size of a file (default: 32)"),
            _flag(
                "--auth",
                action="append",
                default=[],
                metavar="NAME:PASSWORD",
                help="who may use it; repeat for more",
            ),
            *_SECURED,
        ),
    ),
    Command(
        "serve",
        "ar_omni.serving.command:main",
        "an HTTP server that OpenAI's clients can use",
        (
            *_SERVED,
            _flag(
                "--api-key", metavar="K", help="what clients must send (default: $AR_OMNI_API_KEY, or none)"
            ),
            _flag("--slots", type=int, default=8, metavar="N", help="replies at once (default: 8)"),
            _flag("--queue", type=int, default=32, metavar="N", help="replies that may wait (default: 32)"),
            _flag("--sessions", type=int, default=32, metavar="N", help="open WebSockets (default: 32)"),
            _flag("--max-body-mb", type=int, default=32, metavar="N", help="size of a request (default: 32)"),
            _flag("--timeout", type=float, default=300, metavar="S", help="seconds a reply (default: 300)"),
            _flag("--grace", type=float, default=30, metavar="S", help="seconds to end in (default: 30)"),
            *_SECURED,
        ),
    ),
    Command(
        "evaluate",
        "ar_omni.commands:evaluate",
        "measure the model on held-out items with independent judges",
        (
            _flag("--suite", choices=EVALUATION_SUITES, default="all", help="what to measure (default: all)"),
            _flag("--limit", type=int, metavar="N", help="at most N items of a kind"),
            _flag("--out", metavar="FILE.json", help="also write the whole report, with a row an item"),
            _flag(
                "--page", metavar="DIR", help="also write a page to look at and listen to, with all replies"
            ),
            _flag("--markdown", action="store_true", help="print the table as Markdown"),
        ),
    ),
    Command(
        "data",
        "ar_omni.inspection:main",
        "look into token shards for training: decoded rows with their loss weights",
        (
            _flag("action", choices=("inspect",), help="what to do with them"),
            _flag("shard", metavar="SHARD", help="a Parquet file, or a quoted glob pattern of several"),
            _flag("--rows", type=int, default=5, metavar="N", help="how many to show (default: 5)"),
            _flag("--recipe", metavar="FILE.yaml", help="show the loss weights of this recipe"),
            _flag("--html", metavar="FILE.html", help="also write a page with the pictures and the speech"),
        ),
    ),
    Command("bench", "ar_omni.bench:main", "speed of prefill, decoding and streaming"),
    Command(
        "doctor",
        "ar_omni.doctor:main",
        "what is installed, and the memory that a model needs",
        (_flag("--context", type=int, metavar="N", help="ids in the KV cache (default: all it can)"),),
    ),
    Command(
        "convert",
        "ar_omni.convert:main",
        "turn AR-Omni, Chameleon, Anole, VQGAN and WavTokenizer checkpoints into our folder",
        (
            _flag("source", metavar="SRC", help="the checkpoint file or folder"),
            _flag("destination", metavar="DST", help="the folder to write; it must not exist"),
            _flag(
                "--part",
                action="append",
                default=[],
                metavar="PATH",
                help="one more file or folder to take parts from, such as WavTokenizer's; may be repeated",
            ),
            _flag(
                "--trust-pickle",
                action="store_true",
                help="read PyTorch files that hold more than tensors; they can run any code",
            ),
        ),
    ),
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole table."""
    parser = _Parser(
        prog="ar-omni", description="One model that hears, reads, sees, speaks, writes and draws."
    )
    parser.add_argument("--version", action="version", version=f"ar-omni {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        sub = subparsers.add_parser(command.name, help=command.help, description=f"{command.help}.")
        sub.set_defaults(command=command)
        for names, options in command.flags + _COMMON:
            sub.add_argument(*names, **options)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    try:
        args = build_parser().parse_args(argv)
        result = _function(args.command)(args)
        if args.json and result is not None:
            print(json.dumps(result, ensure_ascii=False))
        sys.stdout.flush()
        return 0
    except AROmniError as error:
        return _fail(2, str(error))
    except BrokenPipeError:
        sys.stdout = None  # the reader has gone; nothing more can be said to it
        return 1
    except OSError as error:
        return _fail(1, str(error))
    except KeyboardInterrupt:
        return _fail(130, "interrupted")


def _function(command: Command):
    module, name = command.function.split(":")
    return getattr(import_module(module), name)


def _fail(status: int, message: str) -> int:
    print(f"ar-omni: {' '.join(message.split())}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
