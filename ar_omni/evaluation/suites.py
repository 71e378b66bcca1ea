"""The suites: each runs the model over held-out items and returns its figures and one row an item."""

from __future__ import annotations

from collections.abc import Callable

from ar_omni.evaluation.bench import Bench, Result
from ar_omni.evaluation.codecs import codec
from ar_omni.evaluation.conversations import chat, limits, spoken
from ar_omni.evaluation.pictures import describe, draw
from ar_omni.evaluation.speech import asr, tts

SUITES: dict[str, Callable[[Bench], Result]] = {
    "codec": codec,
    "tts": tts,
    "asr": asr,
    "draw": draw,
    "describe": describe,
    "spoken": spoken,
    "chat": chat,
    "limits": limits,
}
