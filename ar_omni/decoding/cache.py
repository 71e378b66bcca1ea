"""A sequence with its own KV cache: buffers of fixed capacity, one per layer, read through slices."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

FIRST_CAPACITY = 256


@dataclass
class Sequence:
    """Ids, and the keys and values of the first `length` of them.

    Attributes:
        ids: the whole sequence; append to it, and the next forward reads what is new.
        length: how many ids the cache holds.
        keys: for each layer (kv_heads, capacity, head_dim).
        values: likewise.
    """

    ids: list[int]
    length: int = 0
    keys: list[Tensor] = field(default_factory=list, repr=False)
    values: list[Tensor] = field(default_factory=list, repr=False)

    @property
    def new(self) -> list[int]:
        """The ids that are not in the cache yet."""
        return self.ids[self.length :]

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` ids."""
        del self.ids[length:]
        self.length = min(self.length, length)

    def reserve(self, like: Tensor, layers: int, limit: int) -> None:
        """Make room for all ids; capacity doubles: long replies copy little, short ones waste little.

        Args:
            like: (kv_heads, anything, head_dim), of the dtype and device of the cache.
            layers: number of layers.
            limit: most ids that the model can read.
        """
        capacity = self.keys[0].shape[1] if self.keys else 0
        if len(self.ids) <= capacity:
            return
        capacity = max(capacity, FIRST_CAPACITY)
        while capacity < len(self.ids):
            capacity *= 2
        shape = (len(like), min(capacity, limit), like.shape[-1])
        for buffers in (self.keys, self.values):
            grown = [like.new_empty(shape) for _ in range(layers)]
            for old, new in zip(buffers, grown, strict=False):
                new[:, : self.length] = old[:, : self.length]
            buffers[:] = grown

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Store the keys and values of T new ids, and attend from them to everything up to themselves.

        Args:
            layer: index of the layer.
            query: (T, heads, head_dim).
            key: (T, kv_heads, head_dim).
            value: (T, kv_heads, head_dim).

        Returns:
            (T, heads * head_dim).
        """
        stop = self.length + len(key)
        self.keys[layer][:, self.length : stop] = key.transpose(0, 1)
        self.values[layer][:, self.length : stop] = value.transpose(0, 1)
        return _attend(query, self.keys[layer][:, :stop], self.values[layer][:, :stop])


def _attend(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
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
