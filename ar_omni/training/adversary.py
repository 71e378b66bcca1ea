"""What tells restored from recorded speech, and so teaches a decoder the detail that spectra leave open.

Discriminators over several periods (HiFi-GAN, Kong et al. 2020) and over spectra at several resolutions
(EnCodec, Défossez et al. 2022), hinge losses, and the matching of their features.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

PERIODS = (2, 3, 5, 7, 11)
WINDOWS = (512, 1024, 2048)
WIDTHS = (16, 32, 64, 64)
SLOPE = 0.1
Features = list[Tensor]
"""What each layer of a discriminator made of the samples; the last one is the score: above 0 is recorded."""


class Periods(nn.Module):
    """Every `period`-th sample below the last: (B, N) -> (B, 1, N / period, period)."""

    def __init__(self, period: int) -> None:
        super().__init__()
        self.period = period

    def forward(self, samples: Tensor) -> Tensor:
        padded = functional.pad(samples, (0, -samples.shape[-1] % self.period))
        return padded.unflatten(-1, (-1, self.period))[:, None]


class Spectrum(nn.Module):
    """Real and imaginary parts over windows of `window` samples: (B, N) -> (B, 2, window / 2 + 1, frames)."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self.register_buffer("hann", torch.hann_window(window), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        window = len(self.hann)
        spectrum = torch.stft(
            samples.float(), window, window // 4, window=self.hann, normalized=True, return_complex=True
        )
        return torch.view_as_real(spectrum).permute(0, 3, 1, 2)


class Discriminator(nn.Module):
    """Two-dimensional convolutions over a picture of the samples.

    Args:
        picture: samples (B, N) -> (B, channels, rows, columns).
        channels: of the picture.
        kernel: (rows, columns) of all convolutions but the last; rows are thinned out by three each time.
    """

    def __init__(self, picture: nn.Module, channels: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        self.picture = picture
        ins = (channels, *WIDTHS[:-1])
        self.layers = nn.ModuleList(
            _convolution(*widths, kernel, 3) for widths in zip(ins, WIDTHS, strict=True)
        )
        self.score = _convolution(WIDTHS[-1], 1, (3, min(3, kernel[1])), 1)

    def forward(self, samples: Tensor) -> Features:
        x, features = self.picture(samples), []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), SLOPE)
            features.append(x)
        return [*features, self.score(x)]


def _convolution(before: int, after: int, kernel: tuple[int, int], thinning: int) -> nn.Module:
    padding = (kernel[0] // 2, kernel[1] // 2)
    return weight_norm(nn.Conv2d(before, after, kernel, (thinning, 1), padding))


class Adversary(nn.Module):
    """All discriminators, and the losses of both sides of the game."""

    def __init__(self, periods: Sequence[int] = PERIODS, windows: Sequence[int] = WINDOWS) -> None:
        super().__init__()
        over_periods = (Discriminator(Periods(period), 1, (5, 1)) for period in periods)
        over_spectra = (Discriminator(Spectrum(window), 2, (7, 3)) for window in windows)
        self.discriminators = nn.ModuleList([*over_periods, *over_spectra])

    def forward(self, samples: Tensor) -> list[Features]:
        return [discriminator(samples) for discriminator in self.discriminators]

    def losses(self, restored: Tensor, samples: Tensor) -> dict[str, Tensor]:
        """The terms for restored and recorded samples, (B, N) each; one backward pass serves both sides.

        `telling` trains the discriminators alone. `fooling` and `matching` train what restored the samples
        alone: the discriminators' weights are constants in them.
        """
        recorded, found = self(samples), self(restored.detach())
        fixed = {name: value.detach() for name, value in self.named_parameters()}
        judged = functional_call(self, fixed, (restored,))
        return {
            "telling": _mean(
                functional.relu(1 - real[-1]).mean() + functional.relu(1 + made[-1]).mean()
                for real, made in zip(recorded, found, strict=True)
            ),
            "fooling": _mean(functional.relu(1 - made[-1]).mean() for made in judged),
            "matching": _mean(
                (layer - target.detach()).abs().mean() / target.detach().abs().mean()
                for made, real in zip(judged, recorded, strict=True)
                for layer, target in zip(made[:-1], real[:-1], strict=True)
            ),
        }


def _mean(terms) -> Tensor:
    return torch.stack([term.float() for term in terms]).mean()
