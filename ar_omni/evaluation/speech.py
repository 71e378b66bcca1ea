"""Reading aloud and writing down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ar_omni.evaluation.bench import Bench, Result, Row, column
from ar_omni.evaluation.figures import Figure, ratio
from ar_omni.evaluation.heldout import PERSON
from ar_omni.evaluation.judges import whole_speech, word_errors

if TYPE_CHECKING:
    from ar_omni.media import Audio


def tts(bench: Bench) -> Result:
    """Reads sentences aloud; the recogniser writes down what it hears."""
    rows: list[Row] = []
    for text in bench.each(bench.held_out.sentences, "tts"):
        rows.append(_read_aloud(bench, text, len(rows)))
    everyday = len(rows)
    for text in bench.each(bench.held_out.long_sentences, "tts: long sentences"):
        rows.append(_read_aloud(bench, text, len(rows)))
        rows[-1]["whole"] = rows[-1]["stop_reason"] == "end" and whole_speech(
            text, rows[-1]["heard"], rows[-1]["audio_s"] / bench.read(text).duration
        )
    short, long = rows[:everyday], rows[everyday:]
    return {
        "WER": _wer(short),
        "WER of 20-word sentences": _wer(long),
        "20-word sentences that end by themselves": ratio(column(long, "whole"), better="higher"),
        "first-chunk latency": ratio(column(rows, "first_chunk_s"), unit="s"),
        "real-time factor": ratio(column(rows, "total_s"), column(rows, "audio_s"), unit="x"),
    }, rows


def asr(bench: Bench) -> Result:
    """Writes down sentences that its own voice, other synthetic voices and a person say."""
    sentences = list(bench.each(bench.held_out.sentences, "asr"))
    rows = [_write_down(bench, "joe", text, bench.read(text), i) for i, text in enumerate(sentences)]
    for voice, clips in bench.held_out.clips.items():
        for clip in bench.each(clips, f"asr: {voice}"):
            rows.append(_write_down(bench, voice, clip.text, clip.audio, len(rows)))
    own, person = ([row for row in rows if row["voice"] == voice] for voice in ("joe", PERSON))
    others = [row for row in rows if row["voice"] not in ("joe", PERSON)]
    voices = dict.fromkeys(row["voice"] for row in others)
    return {
        "WER, the same voice": _wer(own),
        "WER, other synthetic voices": _wer(others),
        **{f"WER, {voice}": _wer([row for row in others if row["voice"] == voice]) for voice in voices},
        "WER, a real person": _wer(person),
    }, rows


def spoken_row(bench: Bench, text: str, reply) -> Row:
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


def _read_aloud(bench: Bench, text: str, number: int) -> Row:
    reply = bench.omni.generate(text, outputs=("speech",), task="speak", seed=bench.seed)
    return {"text": text, **spoken_row(bench, text, reply), **bench.keep("tts", number, audio=reply.audio)}


def _write_down(bench: Bench, voice: str, text: str, audio: Audio, number: int) -> Row:
    written = bench.omni.transcribe(audio)
    errors, words = word_errors(text, written)
    row = {"voice": voice, "text": text, "written": written, "errors": errors, "words": words}
    return row | bench.keep("asr", number, audio=audio)


def _wer(rows: list[Row]) -> Figure:
    return ratio(column(rows, "errors"), column(rows, "words"))
