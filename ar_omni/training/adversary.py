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


class _Discriminator(nn.Module):
    """A stack of two-dimensional convolutions over whatever picture of the samples it makes."""

    def __init__(self, channels: int, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2)
        ins = (channels, *WIDTHS[:-1])
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(before, after, kernel, stride, padding))
            for before, after in zip(ins, WIDTHS, strict=True)
        )
        last = (3, 1) if kernel[1] == 1 else (3, 3)
        self.score = weight_norm(nn.Conv2d(WIDTHS[-1], 1, last, padding=(1, last[1] // 2)))

    def picture(self, samples: Tensor) -> Tensor:
        """(B, N) -> (B, channels, rows, columns)."""
        raise NotImplementedError

    def forward(self, samples: Tensor) -> Features:
        x, features = self.picture(samples), []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), SLOPE)
            features.append(x)
        return [*features, self.score(x)]


class PeriodDiscriminator(_Discriminator):
    """Sees every `period`-th sample side by side: what repeats, and what does not."""

    def __init__(self, period: int) -> None:
        super().__init__(1, (5, 1), (3, 1))
        self.period = period

    def picture(self, samples: Tensor) -> Tensor:
        padded = functional.pad(samples, (0, -samples.shape[-1] % self.period))
        return padded.unflatten(-1, (-1, self.period))[:, None]


class SpectrumDiscriminator(_Discriminator):
    """Sees real and imaginary parts of a spectrum with windows of `window` samples."""

    def __init__(self, window: int) -> None:
        super().__init__(2, (7, 3), (3, 1))
        self.register_buffer("hann", torch.hann_window(window), persistent=False)

    def picture(self, samples: Tensor) -> Tensor:
        window = len(self.hann)
        spectrum = torch.stft(
            samples.float(), window, window // 4, window=self.hann, normalized=True, return_complex=True
        )
        return torch.view_as_real(spectrum).permute(0, 3, 1, 2)


class Adversary(nn.Module):
    """All discriminators, and the losses of both sides of the game."""

    def __init__(self, periods: Sequence[int] = PERIODS, windows: Sequence[int] = WINDOWS) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(
            [*map(PeriodDiscriminator, periods), *map(SpectrumDiscriminator, windows)]
        )

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
