"""Where a machine multiplies bfloat16 faster than float32, training does."""

from __future__ import annotations

import torch


def has_fast_bfloat16(device_type: str) -> bool:
    """Whether matrices of bfloat16 are multiplied by instructions of their own: CUDA, AVX512-BF16, AMX."""
    if device_type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return device_type == "cuda"


def autocast(device_type: str = "cpu") -> torch.autocast:
    """Mixed precision in bfloat16 where that is fast; weights and losses stay float32."""
    return torch.autocast(device_type, torch.bfloat16, enabled=has_fast_bfloat16(device_type))


def fast_float32() -> None:
    """Multiplies float32 matrices with oneDNN, which is faster on AMD's CPUs and as exact.

    CPUs with AMX keep the default: there the same switch would round the factors to bfloat16.
    """
    if not torch.cpu._is_amx_tile_supported():
        torch.set_float32_matmul_precision("medium")
