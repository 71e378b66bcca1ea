"""Commands that do one thing and end: speak, transcribe, draw, describe, evaluate.

Each takes the parsed flags, checks where it will write before it computes, prints for people unless `--json`
was given, and returns what `--json` prints.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ar_omni.media import AUDIO_FORMATS, IMAGE_FORMATS, check_output, load_audio, load_image, save_image

if TYPE_CHECKING:
    from ar_omni.events import Stats
    from ar_omni.omni import AROmni


def load_model(args: Namespace) -> AROmni:
    """The model that `--model` names, or the bundled one."""
    from ar_omni.omni import AROmni

    return AROmni.from_pretrained(args.model) if args.model else AROmni.from_pretrained()


def speak(args: Namespace) -> dict:
    """`ar-omni speak TEXT -o OUT.wav`."""
    check_output(args.output, AUDIO_FORMATS)
    reply = load_model(args).generate(args.text, outputs=("speech",), task="speak", seed=args.seed)
    reply.audio.save(args.output)
    result = {"file": args.output, "seconds": round(reply.audio.duration, 3), "stats": asdict(reply.stats)}
    if not args.json:
        print(f"{args.output}: {result['seconds']:.1f} s of speech, {speed(reply.stats)}")
    return result


def transcribe(args: Namespace) -> dict:
    """`ar-omni transcribe IN.wav`."""
    audio = load_audio(args.audio)
    text = load_model(args).transcribe(audio, seed=args.seed)
    if not args.json:
        print(text)
    return {"text": text, "seconds": round(audio.duration, 3)}


def draw(args: Namespace) -> dict:
    """`ar-omni draw PROMPT -o OUT.png [--style S]`."""
    check_output(args.output, IMAGE_FORMATS)
    prompt = f"{args.prompt} in {args.style} style" if args.style else args.prompt
    image = load_model(args).draw(prompt, seed=args.seed)
    save_image(image, args.output)
    if not args.json:
        print(f"{args.output}: {image.width} x {image.height} pixels")
    return {"file": args.output, "prompt": prompt, "width": image.width, "height": image.height}


def describe(args: Namespace) -> dict:
    """`ar-omni describe IN.png`."""
    image = load_image(args.image)
    text = load_model(args).describe(image, seed=args.seed)
    if not args.json:
        print(text)
    return {"text": text}


def evaluate(args: Namespace) -> dict:
    """`ar-omni evaluate [--suite NAME] [--limit N] [--out FILE.json] [--page DIR] [--markdown]`."""
    from ar_omni.evaluation import report
    from ar_omni.evaluation.page import write_page
    from ar_omni.evaluation.run import evaluate as run
    from ar_omni.evaluation.suites import SUITES

    if args.out:
        check_output(args.out, {".json": None})
    page = Path(args.page) if args.page else None
    if page:
        page.mkdir(parents=True, exist_ok=True)
    suites = tuple(SUITES) if args.suite == "all" else (args.suite,)
    name = Path(args.model).name if args.model else "nano"
    result = run(load_model(args), suites, name=name, limit=args.limit, seed=args.seed, folder=page)
    if args.out:
        report.write(result, args.out)
    if page:
        write_page(result, page)
    if not args.json:
        print(report.markdown(result) if args.markdown else report.plain(result))
    return result


def speed(stats: Stats) -> str:
    """First-chunk latency and real-time factor of a reply, in words."""
    if stats.rtf is None:
        return "no speech"
    return f"first chunk after {1000 * stats.first_chunk_s:.0f} ms, real-time factor {stats.rtf:.2f}"
