"""What a picture shows, in a few codes: 96 x 96 pixels -> 16 codes, which do not decode.

The codes of a picture that is drawn tell how each patch of it looks, and all of them change when it moves by
a few pixels. These are of the picture as a whole: a network learned them by naming what many artists drew
(`ar_omni.training.semantic`), so pictures of the same thing lie near one another. An associative memory of
what it has seen makes them nearly equal (Ramsauer et al., arXiv 2008.02217), and they are quantized as in FSQ
(Mentzer et al., arXiv 2309.15505): a code is a few numbers, each rounded to one of a few levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from os import PathLike

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

SHARPNESS = 80.0
"""Of what comes to mind: the larger, the fewer things at once."""
GLIMPSES = (2, -2)
"""A picture is looked at once for each of them, so many pixels further to the right and down; of what is seen
counts the mean."""


@dataclass(frozen=True)
class SemanticConfig:
    """Shape of the network. The last `style_codes` of the `codes` codes tell how a picture is drawn, and the
    others what it shows; each spells `digits` numbers of `levels` levels. So many `things` and `artists` are
    remembered."""

    image_size: int = 96
    stride: int = 3
    widths: tuple[int, ...] = (32, 64, 128, 192)
    codes: int = 16
    style_codes: int = 2
    digits: int = 3
    levels: int = 4
    things: int = 0
    artists: int = 0

    @property
    def style_numbers(self) -> int:
        return self.style_codes * self.digits

    @property
    def content_numbers(self) -> int:
        return self.codes * self.digits - self.style_numbers

    @property
    def values(self) -> int:
        """How many a code has; each code has a range of its own, so that it tells its place, too."""
        return self.levels**self.digits

    @property
    def codebook_size(self) -> int:
        return self.codes * self.values


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class Residual(nn.Module):
    """A block of ResNet-D (He et al., arXiv 1812.01187): (B, inputs, S, S) -> (B, outputs, S / stride, *)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = _conv(inputs, outputs, stride=stride)
        self.second = _conv(outputs, outputs)
        self.skip = nn.Identity()
        if stride > 1:
            self.skip = nn.Sequential(nn.AvgPool2d(stride), _conv(inputs, outputs, kernel=1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(functional.relu(self.first(x)))
        return functional.relu(self.skip(x) + y)


class Content(nn.Module):
    """Pixels (B, 3, S, S) -> what they show: (B, numbers)."""

    def __init__(self, widths: tuple[int, ...], stride: int, numbers: int) -> None:
        super().__init__()
        self.stem = _conv(3, widths[0], kernel=2 * stride - 1, stride=stride)
        self.stages = nn.Sequential(
            *(nn.Sequential(Residual(i, o, 2), Residual(o, o, 1)) for i, o in pairwise(widths))
        )
        self.project = nn.Linear(widths[-1], numbers)
        self.norm = nn.BatchNorm1d(numbers)

    def forward(self, pixels: Tensor) -> Tensor:
        features = self.stages(functional.relu(self.stem(pixels)))
        return self.norm(self.project(features.mean((2, 3))).float())


class Style(nn.Module):
    """Pixels (B, 3, S, S) -> how they are drawn, told from how the features of a few convolutions are
    distributed over the picture, whatever it shows: (B, numbers)."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            *(_conv(3, 24, kernel=5, stride=2), nn.ReLU(), _conv(24, 48, stride=2), nn.ReLU()),
            *(_conv(48, 64), nn.ReLU()),
        )
        self.project = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, numbers))
        self.norm = nn.BatchNorm1d(numbers)

    def forward(self, pixels: Tensor) -> Tensor:
        features = self.convs(pixels)
        mean, power = features.mean((2, 3)).float(), features.square().mean((2, 3)).float()
        statistics = torch.cat([mean, (power + 1e-6).sqrt()], dim=1)
        return self.norm(self.project(statistics).float())


class Memory(nn.Module):
    """What was seen, and what comes to mind: numbers (B, N) -> the like of them that is kept, (B, N).

    `keys` are what things look like, and `kept` is what is recalled of them: a network that learns to see
    better gets new keys, and a decoder goes on to read what it knows. A mixture comes to mind where several
    keys are alike; where there is none, the numbers stay as they are.
    """

    def __init__(self, size: int, numbers: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(size, numbers))
        self.register_buffer("kept", torch.zeros(size, numbers))

    def forward(self, numbers: Tensor) -> Tensor:
        if not len(self.keys):
            return numbers
        alike = functional.normalize(numbers, dim=1) @ functional.normalize(self.keys, dim=1).T
        return (SHARPNESS * alike).softmax(dim=1) @ self.kept


def _moved(pixels: Tensor, by: int) -> Tensor:
    """Pixels (B, 3, S, S), moved to the right and down; what comes in is white."""
    return functional.pad(pixels, (by, -by, by, -by), value=1.0)


class SemanticEncoder(nn.Module):
    """Pixels in [-1, 1] (B, 3, S, S) -> numbers (B, codes * digits) about 0, not yet rounded."""

    def __init__(self, config: SemanticConfig) -> None:
        super().__init__()
        self.config = config
        self.content = Content(config.widths, config.stride, config.content_numbers)
        self.style = Style(config.style_numbers)
        self.things = Memory(config.things, config.content_numbers)
        self.artists = Memory(config.artists, config.style_numbers)

    def forward(self, pixels: Tensor) -> Tensor:
        content = sum(self.content(_moved(pixels, by)) for by in GLIMPSES) / len(GLIMPSES)
        style = self.style(pixels)
        return torch.cat([self.things(self.bounded(content)), self.artists(self.bounded(style))], dim=1)

    def bounded(self, numbers: Tensor) -> Tensor:
        """Any numbers -> within half of `levels - 1` of 0, in the same order."""
        return torch.tanh(0.8 * numbers) * self.reach

    @property
    def reach(self) -> float:
        return (self.config.levels - 1) / 2

    def encode(self, pixels: Tensor) -> Tensor:
        """int64 codes (B, codes); the n-th is in [n * values, (n + 1) * values)."""
        config = self.config
        digits = (self.forward(pixels) + self.reach).round().long().unflatten(1, (-1, config.digits))
        values = (digits * config.levels ** torch.arange(config.digits)).sum(-1)
        return values + torch.arange(config.codes) * config.values

    def save(self, path: str | PathLike) -> None:
        """Writes the weights: matrices in 8 bits, with a scale for each row, vectors in half precision."""
        tensors = {}
        for name, value in self.state_dict().items():
            if value.ndim > 1:
                scale = value.abs().amax(tuple(range(1, value.ndim)), keepdim=True).clamp(min=1e-12) / 127
                tensors |= {name: (value / scale).round().to(torch.int8), f"{name}.scale": scale}
            elif value.is_floating_point():
                tensors[name] = value.half()
        save_file({name: value.contiguous() for name, value in tensors.items()}, path)

    @classmethod
    def load(cls, path: str | PathLike, config: SemanticConfig) -> SemanticEncoder:
        """Reads what `save` wrote; computes in float32, as if in evaluation."""
        tensors = {name: value.float() for name, value in load_file(path).items()}
        for name in [name for name in tensors if f"{name}.scale" in tensors]:
            tensors[name] *= tensors.pop(f"{name}.scale")
        encoder = cls(config)
        encoder.load_state_dict(encoder.state_dict() | tensors)  # counts of batches are not kept
        return encoder.eval().requires_grad_(False)
