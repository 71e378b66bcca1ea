"""Weight-only quantization of the decoder's linear maps: 8 or 4 bits a weight; embeddings, norms and head
stay whole.

int8 keeps one scale for each output row; int4 keeps a scale and an offset for each group of inputs. On the
CPU both multiply in bfloat16 by torch's packed kernels, without ever unpacking; elsewhere the weight of the
map at work is unpacked for the moment.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ar_omni.errors import InputError

SCHEMES = {"int8": 8, "int4": 4}
GROUPS = (128, 64, 32)
BITS_PER_WEIGHT = {"int8": 8 + 16 / 4096, "int4": 4 + 32 / GROUPS[0]}
"""Scales and offsets included, at the widths of a 7B model."""
PIECE_ROWS = 512
"""Rows quantized at a time, so that what lies between stays small; torch packs blocks of fewer rows."""
CPU_ROWS = 16
"""torch's 4-bit CPU kernel takes output widths that are a multiple of this."""


def check_scheme(quantize: str | None) -> str | None:
    """`quantize` itself.

    Raises:
        InputError: it is neither None nor one of `SCHEMES`.
    """
    if quantize is not None and quantize not in SCHEMES:
        raise InputError(f"expected quantize to be None, {' or '.join(SCHEMES)}, got {quantize!r}")
    return quantize


def quantized_linear(weight: Tensor, bias: Tensor | None, scheme: str) -> nn.Module:
    """The map x -> x @ weight.T + bias with its weight (out, in) stored by a scheme of `SCHEMES`.

    int4 falls back to int8 where no group of inputs divides the width.
    """
    if scheme == "int4" and any(weight.shape[1] % group == 0 for group in GROUPS):
        return Int4Linear(weight, bias)
    return Int8Linear(weight, bias)


def quantize_model(model: nn.Module, scheme: str) -> nn.Module:
    """Replace the linear maps in the layers of an `AROmniForCausalLM`, in place; returns the model."""
    check_scheme(scheme)
    for layer in model.model.layers:
        for parent in (layer.self_attn, layer.mlp):
            for name, module in list(parent.named_children()):
                if isinstance(module, nn.Linear):
                    bias = None if module.bias is None else module.bias.detach()
                    setattr(parent, name, quantized_linear(module.weight.detach(), bias, scheme))
    return model


class Int8Linear(nn.Module):
    """(..., in) -> (..., out); weight = values * scale, a scale for each output row."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None):
        super().__init__()
        pieces = [_eight_bits(rows) for rows in weight.split(PIECE_ROWS)]
        self.values, self.scales = (nn.Buffer(torch.cat(parts)) for parts in zip(*pieces, strict=True))
        self.bias = None if bias is None else nn.Buffer(bias)

    def weight(self, dtype: torch.dtype) -> Tensor:
        """The unpacked weight (out, in)."""
        return self.values.to(dtype) * self.scales[:, None].to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return functional.linear(x, self.weight(x.dtype), self.bias)
        rows = x.flatten(0, -2).to(torch.bfloat16)
        y = torch._weight_int8pack_mm(rows, self.values, self.scales)
        return _shaped(y, x, self.bias)


class Int4Linear(nn.Module):
    """(..., in) -> (..., out); weight = (value - 8) * scale + offset, both for each group of inputs."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None):
        super().__init__()
        outputs, inputs = weight.shape
        self.group = next(group for group in GROUPS if inputs % group == 0)
        self.on_cpu = weight.device.type == "cpu" and outputs % CPU_ROWS == 0
        pieces = [_four_bits(rows, self.group, self.on_cpu) for rows in weight.split(PIECE_ROWS)]
        values, scales = (torch.cat(parts) for parts in zip(*pieces, strict=True))
        self.values = nn.Buffer(values)
        self.scales = nn.Buffer(scales.transpose(0, 1).contiguous())
        self.bias = None if bias is None else nn.Buffer(bias)

    def weight(self, dtype: torch.dtype) -> Tensor:
        """The unpacked weight (out, in), where torch's CPU packing is not used."""
        values = torch.stack([self.values & 15, self.values >> 4], dim=-1).flatten(1)
        scales, offsets = self.scales.transpose(0, 1).to(dtype).unbind(-1)
        grouped = values.view(len(values), -1, self.group).to(dtype) - 8
        return (grouped * scales[..., None] + offsets[..., None]).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        if not self.on_cpu:
            return functional.linear(x, self.weight(x.dtype), self.bias)
        rows = x.flatten(0, -2).to(torch.bfloat16)
        y = torch._weight_int4pack_mm_for_cpu(rows, self.values, self.group, self.scales)
        return _shaped(y, x, self.bias)


def _eight_bits(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of a weight -> their values (n, in) and scales (n,)."""
    scales = (rows.abs().amax(dim=1).float().clamp(min=1e-8) / 127).to(torch.bfloat16)
    values = (rows / scales[:, None].to(rows.dtype)).round().clamp(-127, 127)
    return values.to(torch.int8), scales


def _four_bits(rows: Tensor, group: int, on_cpu: bool) -> tuple[Tensor, Tensor]:
    """Rows of a weight -> their packed values, and the scale and offset of each group (n, in / group, 2)."""
    grouped = rows.float().view(len(rows), -1, group)
    low, high = grouped.amin(dim=-1), grouped.amax(dim=-1)
    scales = ((high - low) / 15).clamp(min=1e-8).to(torch.bfloat16)
    offsets = (low + 8 * scales.float()).to(torch.bfloat16)
    values = (grouped - offsets.float()[..., None]) / scales.float()[..., None]
    values = (values.round() + 8).clamp(0, 15).view(rows.shape).to(torch.int32)
    packed = torch._convert_weight_to_int4pack_for_cpu(values, 1) if on_cpu else _pack(values)
    return packed, torch.stack([scales, offsets], dim=-1)


def _pack(values: Tensor) -> Tensor:
    """4-bit values (out, in) -> bytes (out, in / 2), the even ones in the low halves."""
    return (values[:, 0::2] | values[:, 1::2] << 4).to(torch.uint8)


def _shaped(y: Tensor, x: Tensor, bias: Tensor | None) -> Tensor:
    """Rows as the kernel gives them -> the leading shape and dtype of the input, with the bias added."""
    y = y.view(*x.shape[:-1], -1).to(x.dtype)
    return y if bias is None else y + bias
