"""Windowed-sinc resampling with the kernel that WavTokenizer and its training data were made with."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

ZERO_CROSSINGS = 6
ROLLOFF = 0.99
"""The low-pass cut-off, as a share of the lower Nyquist frequency."""


def sinc_resample(samples: Tensor, source_rate: int, target_rate: int) -> Tensor:
    """Float32 samples (T,) at `source_rate` Hz -> (ceil(T * target_rate / source_rate),) at `target_rate` Hz.

    The package's general resampler is soxr, which filters better; codes only repeat those of the original
    pipeline when the same short Hann-windowed kernel comes before the encoder.
    """
    common = math.gcd(source_rate, target_rate)
    source, target = source_rate // common, target_rate // common
    if source == target:
        return samples
    kernels, width = _kernels(source, target)
    padded = F.pad(samples[None, None], (width, width + source))
    phases = F.conv1d(padded, kernels.to(samples), stride=source)[0]
    return phases.T.reshape(-1)[: math.ceil(target * len(samples) / source)]


def _kernels(source: int, target: int) -> tuple[Tensor, int]:
    """One low-pass filter for each output phase, (target, 1, taps), and the taps before its centre."""
    cutoff = min(source, target) * ROLLOFF
    width = math.ceil(ZERO_CROSSINGS * source / cutoff)
    taps = torch.arange(-width, width + source, dtype=torch.float64) / source
    phases = torch.arange(0, -target, -1, dtype=torch.float64)[:, None] / target
    time = ((phases + taps) * cutoff).clamp(-ZERO_CROSSINGS, ZERO_CROSSINGS)
    window = torch.cos(time * math.pi / ZERO_CROSSINGS / 2).square()
    return (torch.sinc(time) * window * cutoff / source)[:, None], width
