"""A sequence with its own KV cache: buffers of fixed capacity, one per layer, read through slices."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ar_omni.decoding.attention import sdpa

FIRST_CAPACITY = 256
Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


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

    def reserve(self, like: Tensor, devices: Seq[torch.device], limit: int) -> None:
        """Make room for all ids; capacity doubles: long replies copy little, short ones waste little.

        Args:
            like: (kv_heads, anything, head_dim), of the dtype of the cache.
            devices: where each layer is.
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
            grown = [like.new_empty(shape, device=device) for device in devices]
            for old, new in zip(buffers, grown, strict=False):
                new[:, : self.length] = old[:, : self.length]
            buffers[:] = grown

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, attention: Attention = sdpa
    ) -> Tensor:
        """Store the keys and values of T new ids, and attend from them to everything up to themselves.

        Args:
            layer: index of the layer.
            query: (T, heads, head_dim).
            key: (T, kv_heads, head_dim).
            value: (T, kv_heads, head_dim).
            attention: of `ar_omni.decoding.attention`.

        Returns:
            (T, heads * head_dim).
        """
        stop = self.length + len(key)
        self.keys[layer][:, self.length : stop] = key.transpose(0, 1)
        self.values[layer][:, self.length : stop] = value.transpose(0, 1)
        return attention(query, self.keys[layer][:, :stop], self.values[layer][:, :stop])
