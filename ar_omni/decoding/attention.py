"""How new ids attend to a sequence's cached keys and values: torch's kernels, or flash-attn's on CUDA."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def sdpa(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """(T, heads, D) queries, the last T of (kv_heads, L, D) keys and values -> (T, heads * D)."""
    count, length = len(query), keys.shape[1]
    if count == 1:  # the heads that share keys take the place of positions: no mask, no copies
        query = query.reshape(1, len(keys), -1, query.shape[-1])
        return functional.scaled_dot_product_attention(query, keys[None], values[None]).reshape(1, -1)
    mask = None
    if count < length:
        mask = torch.ones(count, length, dtype=torch.bool, device=query.device).tril(length - count)
    query = query.transpose(0, 1)[None]
    attended = functional.scaled_dot_product_attention(
        query, keys[None], values[None], mask, is_causal=mask is None, enable_gqa=True
    )
    return attended[0].transpose(0, 1).reshape(count, -1)


def flash(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """As `sdpa`; its causal mask is aligned to the last key, as the last T queries need."""
    from flash_attn import flash_attn_func

    keys, values = keys.transpose(0, 1)[None], values.transpose(0, 1)[None]
    return flash_attn_func(query[None], keys, values, causal=True)[0].flatten(1)


ATTENTIONS = {"sdpa": sdpa, "flash": flash}
