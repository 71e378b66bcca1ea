"""Pictures as people might show them: moved, turned, of another size, on any ground, in other colours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Changes:
    """How far pictures are changed at random.

    Attributes:
        scale: from the smallest to the largest.
        turn: standard deviation, in radians.
        slant: standard deviation, as a share of the size.
        stretch: the most, to either side, of the logarithm of height by width.
        shift: the most, as a share of half the size.
        saturation: from the least to the most.
        tint: standard deviation of what each colour takes from each.
        contrast: the most, to either side of 1.
        brightness: likewise.
        blurred: share of the pictures.
        covered: share of the pictures a part of which is hidden.
    """

    scale: tuple[float, float]
    turn: float
    slant: float
    stretch: float
    shift: float
    saturation: tuple[float, float]
    tint: float
    contrast: float
    brightness: float
    blurred: float
    covered: float


STRONG = Changes(
    scale=(0.6, 1.15),
    turn=0.14,
    slant=0.05,
    stretch=0.12,
    shift=0.2,
    saturation=(0.4, 1.5),
    tint=0.08,
    contrast=0.25,
    brightness=0.2,
    blurred=0.25,
    covered=0.3,
)
"""For what a picture shows: it is still told."""
GENTLE = Changes(
    scale=(0.65, 1.12),
    turn=0.11,
    slant=0.0,
    stretch=0.0,
    shift=0.15,
    saturation=(0.65, 1.35),
    tint=0.0,
    contrast=0.2,
    brightness=0.15,
    blurred=0.15,
    covered=0.0,
)
"""For who drew a picture: lines and colours stay those of its maker."""


def shown(cutouts: Tensor, size: int, changes: Changes = STRONG) -> Tensor:
    """Each picture changed at random: uint8 RGBA (B, S, S, 4) -> float32 (B, 3, size, size) in [-1, 1]."""
    pixels = _moved(cutouts, size, changes)
    colour, alpha = pixels[:, :3], pixels[:, 3:]
    picture = _recoloured(colour + _grounds(len(pixels)) * (1 - alpha), changes)
    picture = _sometimes(changes.blurred, picture, _blurred)
    picture = _sometimes(changes.covered, picture, _covered)
    return (picture.clamp(0, 1) * 2 - 1).contiguous(memory_format=torch.channels_last)


def plain(cutouts: Tensor, size: int) -> Tensor:
    """Each picture as it is, on white: uint8 RGBA (B, S, S, 4) -> float32 (B, 3, size, size) in [-1, 1]."""
    pixels = _premultiplied(cutouts)
    picture = pixels[:, :3] + 1 - pixels[:, 3:]
    return functional.interpolate(picture, (size, size), mode="bilinear", antialias=True) * 2 - 1


def _premultiplied(cutouts: Tensor) -> Tensor:
    """Colours in [0, 1], dark as far as they are transparent: (B, S, S, 4) -> (B, 4, S, S)."""
    pixels = cutouts.permute(0, 3, 1, 2).float() / 255
    return torch.cat([pixels[:, :3] * pixels[:, 3:], pixels[:, 3:]], dim=1)


def _uniform(low: float, high: float, *shape: int) -> Tensor:
    return low + (high - low) * torch.rand(*shape)


def _about(middle: float, reach: float, *shape: int) -> Tensor:
    return _uniform(middle - reach, middle + reach, *shape)


def _moved(cutouts: Tensor, size: int, changes: Changes) -> Tensor:
    """Scaled, turned, slanted, stretched and shifted: float (B, 4, size, size)."""
    count = len(cutouts)
    scale, angle = _uniform(*changes.scale, count), changes.turn * torch.randn(count)
    slant, stretch = changes.slant * torch.randn(count), _about(0, changes.stretch, count).exp()
    shift_x, shift_y = _about(0, changes.shift, 2, count)
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    rows = (cosine * stretch, slant - sine, shift_x), (sine, cosine / stretch, shift_y)
    maps = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    grid = functional.affine_grid(maps, [count, 4, size, size], align_corners=False)
    return functional.grid_sample(_premultiplied(cutouts), grid, align_corners=False)


def _grounds(count: int) -> Tensor:
    """White, mostly; else a light or a dark colour: (B, 3, 1, 1)."""
    colours = torch.where(torch.rand(count, 1) < 0.5, _uniform(0.75, 1, count, 3), _uniform(0, 0.3, count, 3))
    return torch.where(torch.rand(count, 1) < 0.7, 1.0, colours)[..., None, None]


def _recoloured(picture: Tensor, changes: Changes) -> Tensor:
    """With another saturation, tint, brightness and contrast: all are one linear map of the colours."""
    count = len(picture)
    saturation = _uniform(*changes.saturation, count, 1, 1)
    saturated = saturation * torch.eye(3) + (1 - saturation) / 3
    mixed = torch.eye(3) + changes.tint * torch.randn(count, 3, 3) * (torch.rand(count, 1, 1) < 0.6)
    mixed = mixed / mixed.sum(2, keepdim=True)
    contrast = _about(1, changes.contrast, count, 1, 1)
    bright = _about(1, changes.brightness, count, 1, 1)
    offset = 0.7 * bright * (1 - contrast)  # what is about as bright as a picture on white stays
    colours = (contrast * bright * mixed @ saturated) @ picture.flatten(2) + offset
    return colours.view_as(picture)


def _covered(picture: Tensor) -> Tensor:
    """With a rectangle of one colour on it, a tenth to a third as wide and high."""
    count, size = len(picture), picture.shape[-1]
    places = torch.linspace(0, 1, size)
    inside = []
    for _ in range(2):
        extent = _uniform(0.1, 0.33, count, 1)
        start = torch.rand(count, 1) * (1 - extent)
        inside.append((places >= start) & (places < start + extent))
    patch = (inside[0][:, :, None] & inside[1][:, None, :])[:, None]
    return torch.where(patch, torch.rand(count, 3, 1, 1), picture)


def _blurred(picture: Tensor) -> Tensor:
    return functional.avg_pool2d(picture, 3, 1, 1, count_include_pad=False)


def _sometimes(share: float, picture: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """`picture` (B, ...) with `change` made to a share of the batch."""
    chosen = torch.rand(len(picture)) < share
    picture[chosen] = change(picture[chosen])
    return picture
