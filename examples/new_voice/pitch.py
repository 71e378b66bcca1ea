"""How high a voice is: what tells a woman's from a man's without a trained judge."""

from __future__ import annotations

import numpy as np

from ar_omni import Audio

RATE = 16_000
FRAME, STEP = 1024, 256
LOWEST, HIGHEST = 60, 350
"""Hz; between them lie the voices of adults."""
VOICED = 0.5
"""A frame is voiced where its autocorrelation has a peak of at least this share of its energy."""


def median_pitch(audio: Audio) -> float:
    """The median pitch of the voiced frames, in Hz; NaN where nothing is voiced."""
    samples = audio.resample(RATE).samples
    if len(samples) < FRAME:
        return float("nan")
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::STEP] * np.hanning(FRAME)
    energy = np.square(frames).sum(1)
    frames = frames[energy > 0.05 * energy.max()]
    lags = np.arange(RATE // HIGHEST, RATE // LOWEST)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(frames, 2 * FRAME)) ** 2)[:, : lags[-1] + 1]
    # the window itself is less like itself at longer lags
    window = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(FRAME), 2 * FRAME)) ** 2)[: lags[-1] + 1]
    likeness = correlation[:, lags] / np.maximum(correlation[:, :1], 1e-12) / (window[lags] / window[0])
    voiced = likeness.max(1) > VOICED
    preferred = likeness[voiced] * (1 - 0.1 * lags / lags[-1])  # two periods are as alike as one
    return float(np.median(RATE / lags[preferred.argmax(1)])) if voiced.any() else float("nan")
