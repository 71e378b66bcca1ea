"""`ar-omni data inspect SHARD`: what rows of token shards say, and how much each part of them weighs."""

from __future__ import annotations

import base64
import html
import io
from argparse import Namespace
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ar_omni.checkpoint import find_checkpoint
from ar_omni.media import check_output, replacing
from ar_omni.processing import Processor

if TYPE_CHECKING:
    from ar_omni.training.data import Row

PAGE = """<!doctype html><meta charset="utf-8"><title>{title}</title>
<style>body {{font: 16px sans-serif; max-width: 60em; margin: 2em auto}}
td {{vertical-align: top; padding: .3em 1em}}
img {{width: 8em; vertical-align: middle}} audio {{vertical-align: middle}}</style>
<h1>{title}</h1>
{body}
"""


def main(args: Namespace) -> dict[str, Any]:
    """`ar-omni data inspect SHARD [--rows N] [--recipe FILE] [--html FILE]`."""
    from ar_omni.training.arguments import TuneRecipe, load_recipe
    from ar_omni.training.shards import Shards, as_row

    if args.html:
        check_output(args.html, {".html": None})
    weights = load_recipe(args.recipe, TuneRecipe).loss_weights if args.recipe else {}
    processor = Processor.from_pretrained(find_checkpoint(args.model))
    shards = Shards.open(args.shard, processor.vocabulary)
    rows, sections = [], []
    for index in range(min(args.rows, len(shards))):
        record = shards.record(index)
        row = as_row(record, weights)
        about = {"row": index, "task": record.get("task"), "line": record.get("line"), "ids": len(row[0])}
        rows.append(about | {"parts": list(described(row, processor))})
        if args.html:
            sections.append(_section(_title(about), row, processor))
    result = {"shard": args.shard, "rows": len(shards), "ids": int(shards.lengths.sum()), "shown": rows}
    if args.html:
        with replacing(args.html) as path:
            title = html.escape(f"{args.shard}: {result['rows']} rows, {result['ids']} ids")
            path.write_text(PAGE.format(title=title, body="\n".join(sections)), encoding="utf-8")
    if not args.json:
        _print(result)
    return result


def described(row: Row, processor: Processor) -> Iterator[dict[str, Any]]:
    """Runs of ids that weigh the same, as text: `{"weight", "text"}`; media are told by their size."""
    for weight, pieces in _weighed(row, processor):
        yield {"weight": weight, "text": "".join(_as_text(kind, ids, processor) for kind, ids in pieces)}


def _weighed(row: Row, processor: Processor) -> Iterator[tuple[float, list[tuple[str | None, list[int]]]]]:
    """(weight, [(modality or None for control ids, ids), ...]) in order."""
    modality = processor.vocabulary.modality
    for weight, run in groupby(zip(row[0], row[1], strict=True), key=lambda pair: pair[1]):
        ids = [i for i, _ in run]
        yield weight, [(kind, list(part)) for kind, part in groupby(ids, key=modality)]


def _codes(kind: str, ids: list[int], processor: Processor) -> list[int]:
    span = getattr(processor.vocabulary, kind)
    return [span.code(i) for i in ids]


def _as_text(kind: str | None, ids: list[int], processor: Processor) -> str:
    if kind is None:
        names = {i: name for name, i in processor.vocabulary.specials.items()}
        return "".join(f"<{names.get(i, i)}>" for i in ids)
    codes = _codes(kind, ids, processor)
    if kind == "text":
        return processor.text_tokenizer.decode(codes)
    if kind == "image":
        return f"[picture: {len(codes)} codes]"
    return f"[speech: {len(codes) / processor.speech_tokenizer.frame_rate:.2f} s]"


def _as_html(kind: str | None, ids: list[int], processor: Processor) -> str:
    """As `_as_text`, with whole pictures and speech to see and hear."""
    data = io.BytesIO()
    if kind == "image" and len(ids) == processor.template.codes_per_image:
        processor.image_tokenizer.decode(_codes(kind, ids, processor)).save(data, "PNG")
        return f'<img src="data:image/png;base64,{_base64(data)}">'
    if kind == "speech":
        import soundfile

        audio = processor.speech_tokenizer.decode(_codes(kind, ids, processor))
        soundfile.write(data, audio.samples, audio.sample_rate, format="WAV")
        return f'<audio controls src="data:audio/wav;base64,{_base64(data)}"></audio>'
    return html.escape(_as_text(kind, ids, processor))


def _base64(data: io.BytesIO) -> str:
    return base64.b64encode(data.getvalue()).decode()


def _section(title: str, row: Row, processor: Processor) -> str:
    lines = "".join(
        f"<tr><td>{weight:g}</td><td>{''.join(_as_html(*piece, processor) for piece in pieces)}</td></tr>"
        for weight, pieces in _weighed(row, processor)
    )
    return f"<h2>{html.escape(title)}</h2><table><tr><th>weight</th><th></th></tr>{lines}</table>"


def _title(about: Mapping[str, Any]) -> str:
    line = f", line {about['line']}" if about["line"] else ""
    return f"row {about['row']}: {about['task'] or 'published'}{line}, {about['ids']} ids"


def _print(result: Mapping[str, Any]) -> None:
    print(f"{result['shard']}: {result['rows']} rows, {result['ids']} ids")
    for row in result["shown"]:
        print(f"\n{_title(row)}")
        for part in row["parts"]:
            print(f"{part['weight']:6g}  {part['text']}")
