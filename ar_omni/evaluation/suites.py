"""The suites: each runs the model over held-out items and returns its figures and one row an item."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ar_omni.errors import InputError
from ar_omni.evaluation.figures import Figure, ratio
from ar_omni.evaluation.heldout import HeldOut
from ar_omni.evaluation.judges import mentions, nearest, psnr, word_errors

if TYPE_CHECKING:
    from ar_omni.media import Audio
    from ar_omni.omni import AROmni

T = TypeVar("T")
Row = dict
Result = tuple[dict[str, Figure], list[Row]]


@dataclass(frozen=True, eq=False)
class Bench:
    """A model, the held-out items, the judge that hears, and the voice that reads."""

    omni: AROmni
    held_out: HeldOut
    hear: Callable[[Audio], str]
    read: Callable[[str], Audio]
    limit: int | None = None
    """At most this many items a suite; None means all."""
    seed: int = 0
    progress: bool = True

    def each(self, items: Sequence[T], name: str) -> Iterable[T]:
        """The first `limit` items, under a progress bar."""
        from tqdm import tqdm

        if not items:
            raise InputError(f"expected items for the suite {name!r} in {self.held_out.folder}, got none")
        return tqdm(items[: self.limit], desc=name, unit="item", disable=not self.progress)


def codec(bench: Bench) -> Result:
    """What the two codecs lose: words of speech, and the looks of pictures."""
    speech, image = bench.omni.processor.speech_tokenizer, bench.omni.processor.image_tokenizer
    rows, used = [], set()
    for text in bench.each(bench.held_out.sentences, "codec: speech"):
        audio = bench.read(text)
        codes = speech.encode(audio)
        used.update(np.asarray(codes).tolist())
        before, words = word_errors(text, bench.hear(audio))
        after, _ = word_errors(text, bench.hear(speech.decode(codes)))
        rows.append({"text": text, "words": words, "original_errors": before, "errors": after})
    pairs = list(zip(bench.held_out.pairs, bench.held_out.pictures, strict=True))
    pictures = []
    for pair, picture in bench.each(pairs, "codec: pictures"):
        again = image.decode(image.encode(picture))
        found = nearest(again, bench.held_out.gallery)
        right = found == (pair.name, pair.style)
        pictures.append(
            {"name": pair.name, "style": pair.style, "psnr": psnr(again, picture), "right": right}
        )
    words = _column(rows, "words")
    lost = [row["errors"] - row["original_errors"] for row in rows]
    figures = {
        "WER of the original speech": ratio(_column(rows, "original_errors"), words),
        "WER after the speech codec": ratio(_column(rows, "errors"), words),
        "WER lost in the speech codec": ratio(lost, words),
        "speech codes in use": ratio([len(used)], [speech.codebook_size], better="higher"),
        "pictures nearest to themselves": ratio(_column(pictures, "right"), better="higher"),
        "PSNR of pictures": ratio(_column(pictures, "psnr"), unit="dB", better="higher"),
    }
    return figures, rows + pictures


def tts(bench: Bench) -> Result:
    """Reads sentences aloud; the recogniser writes down what it hears."""
    rows = []
    for text in bench.each(bench.held_out.sentences, "tts"):
        reply = bench.omni.generate(text, outputs=("speech",), task="speak", seed=bench.seed)
        rows.append({"text": text, **_spoken_row(bench, text, reply)})
    return {
        "WER": ratio(_column(rows, "errors"), _column(rows, "words")),
        "speech that ended by itself": ratio([row["stop_reason"] == "end" for row in rows], better="higher"),
        "first-chunk latency": ratio(_column(rows, "first_chunk_s"), unit="s"),
        "real-time factor": ratio(_column(rows, "total_s"), _column(rows, "audio_s"), unit="x"),
    }, rows


def asr(bench: Bench) -> Result:
    """Writes down held-out sentences that a voice reads."""
    rows = []
    for text in bench.each(bench.held_out.sentences, "asr"):
        written = bench.omni.transcribe(bench.read(text))
        errors, words = word_errors(text, written)
        rows.append({"text": text, "written": written, "errors": errors, "words": words})
    return {"WER": ratio(_column(rows, "errors"), _column(rows, "words"))}, rows


def draw(bench: Bench) -> Result:
    """Draws concepts in styles; the nearest picture of the gallery says what was drawn."""
    rows = []
    for pair in bench.each(bench.held_out.pairs, "draw"):
        image = bench.omni.generate(pair.prompt, outputs=("image",), task="draw", seed=bench.seed).image
        name, style = nearest(image, bench.held_out.gallery)
        hits = {"right": name == pair.name, "style_right": style == pair.style}
        rows.append({"prompt": pair.prompt, "seen": pair.seen, "nearest": f"{name} ({style})", **hits})
    return {
        **_by_split(rows, "right", "right concept"),
        **_by_split(rows, "style_right", "right style"),
    }, rows


def describe(bench: Bench) -> Result:
    """Names pictures; right if the concept's name is in the answer as whole words."""
    rows = []
    pairs = list(zip(bench.held_out.pairs, bench.held_out.pictures, strict=True))
    for pair, picture in bench.each(pairs, "describe"):
        text = bench.omni.describe(picture)
        row = {"name": pair.name, "style": pair.style, "seen": pair.seen, "text": text}
        rows.append(row | {"right": mentions(text, pair.name)})
    return _by_split(rows, "right", "right name"), rows


def spoken(bench: Bench) -> Result:
    """Hears requests for pictures, and answers with a transcript, text, a picture and speech."""
    rows = []
    for request in bench.each(bench.held_out.requests, "spoken"):
        message = {"role": "user", "content": [{"type": "audio", "audio": bench.read(request.text)}]}
        reply = bench.omni.generate([message], outputs=("text", "image", "speech"), seed=bench.seed)
        errors, words = word_errors(request.text, reply.transcript or "")
        drawn = reply.image is not None and nearest(reply.image, bench.held_out.gallery)[0] == request.name
        row = {"request": request.text, "transcript": reply.transcript, "reply": reply.text, "drawn": drawn}
        whole = all((reply.transcript, reply.text, reply.image is not None, reply.audio is not None))
        heard = _spoken_row(bench, reply.text or "", reply)
        rows.append(row | {"request_errors": errors, "request_words": words, "whole": whole, **heard})
    return {
        "transcript WER": ratio(_column(rows, "request_errors"), _column(rows, "request_words")),
        "right picture": ratio(_column(rows, "drawn"), better="higher"),
        "replies with all parts": ratio(_column(rows, "whole"), better="higher"),
        "WER of the spoken reply": ratio(_column(rows, "errors"), _column(rows, "words")),
    }, rows


SUITES: dict[str, Callable[[Bench], Result]] = {
    "codec": codec,
    "tts": tts,
    "asr": asr,
    "draw": draw,
    "describe": describe,
    "spoken": spoken,
}


def _spoken_row(bench: Bench, text: str, reply) -> Row:
    """How well the reply's speech says `text`, and how fast it came."""
    audio: Audio | None = reply.audio
    heard = bench.hear(audio) if audio is not None and len(audio.samples) else ""
    errors, words = word_errors(text, heard)
    stats = reply.stats
    return {
        "heard": heard,
        "errors": errors,
        "words": words,
        "audio_s": stats.audio_s,
        "total_s": (stats.rtf or 0.0) * stats.audio_s,
        "first_chunk_s": stats.first_chunk_s,
        "stop_reason": stats.stop_reason,
    }


def _column(rows: Sequence[Row], key: str) -> list[float]:
    return [float(row[key] or 0) for row in rows]


def _by_split(rows: Sequence[Row], key: str, title: str) -> dict[str, Figure]:
    """The share of hits among pairs never trained on, and among those trained on."""
    splits = {"never trained on": False, "trained on": True}
    picked = {name: [row[key] for row in rows if row["seen"] is seen] for name, seen in splits.items()}
    return {f"{title}, {name}": ratio(hits, better="higher") for name, hits in picked.items() if hits}
