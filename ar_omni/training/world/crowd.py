"""Many speakers for the ear: a few voices, each text higher and faster or lower and slower than the last.

Another rate of the same samples moves pitch, formants and tempo together, as longer and shorter throats do.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import soxr

from ar_omni.training.world.voices import (
    MAIN_VOICE,
    SAMPLE_RATE,
    VOICES,
    CommandSpeaker,
    PiperSpeaker,
    Utterance,
    espeak,
    flite,
)

CROWD = "crowd"
STRETCH = 0.25
"""How far the logarithm of the rate is changed, up or down: by 28 % at most."""
_KINDS: tuple[tuple[Callable[[], PiperSpeaker | CommandSpeaker], ...], ...] = (
    (VOICES[MAIN_VOICE],),
    tuple(lambda name=name: flite(name) for name in ("slt", "rms", "awb", "kal16")),
    tuple(
        lambda accent=accent, variant=variant: espeak(f"{accent}+{variant}")
        for accent in ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029")
        for variant in ("m1", "m3", "m5", "m7", "f1", "f2", "f4", "f5")
    ),
)
"""Kinds of synthesis, each of which says as much as the others: a neural voice, recorded units, formants."""


class Crowd:
    """Says each text with a voice and a rate that follow from the text."""

    def say(self, text: str) -> Utterance:
        """Speaks `text`; phonemes are not told."""
        rng = random.Random(text)
        spoken = _speaker(rng.choice(rng.choice(_KINDS))).say(text)
        rate = SAMPLE_RATE * math.exp(rng.uniform(-STRETCH, STRETCH))
        samples = soxr.resample(spoken.samples, rate, SAMPLE_RATE)
        return Utterance(text, samples, (), np.zeros(0, dtype=np.int64))


_speaker = cache(lambda make: make())

SPEAKERS: Mapping[str, Callable[[], PiperSpeaker | CommandSpeaker | Crowd]] = {**VOICES, CROWD: Crowd}
"""Everything that nano learns from, by name."""
