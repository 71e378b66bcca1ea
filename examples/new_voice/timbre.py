"""What a voice sounds like on average: enough to tell two speakers apart without a trained judge.

Pitch would not do: a codec keeps words and timbre better than the periods of a low voice.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ar_omni import Audio

RATE = 16_000
FRAME, STEP = 512, 256
EDGES = np.geomspace(100, 8000, 25)
"""Hz, between which the energy is summed up: 24 bands."""
QUIET = 0.05
"""A frame is left out where its energy is below this share of the loudest one's."""


def timbre(audio: Audio) -> np.ndarray:
    """Mean logarithm of each band's energy, less the mean over bands, float64 (24,); NaN without sound."""
    samples = audio.resample(RATE).samples
    if len(samples) < FRAME or not samples.any():
        return np.full(len(EDGES) - 1, np.nan)
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::STEP] * np.hanning(FRAME)
    energy = np.square(frames).sum(1)
    spectra = np.abs(np.fft.rfft(frames[energy > QUIET * energy.max()])) ** 2
    starts = np.searchsorted(np.fft.rfftfreq(FRAME, 1 / RATE), EDGES)
    bands = [spectra[:, start : max(stop, start + 1)].sum(1) for start, stop in pairwise(starts)]
    levels = np.log(np.stack(bands, 1) + 1e-9)
    return (levels - levels.mean(1, keepdims=True)).mean(0)


def nearer(found: np.ndarray, old: np.ndarray, new: np.ndarray) -> float:
    """Share of `found` (N, 24) that is nearer to the mean of `new` than to that of `old`, each (M, 24), in
    standard deviations within the two."""
    spread = np.sqrt((np.nanvar(old, 0) + np.nanvar(new, 0)) / 2)
    distances = [np.square((found - np.nanmean(voice, 0)) / spread).sum(1) for voice in (old, new)]
    return float((distances[1] < distances[0]).mean())
