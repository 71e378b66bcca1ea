"""The decoder for inference: the network of `ar_omni.modeling` as plain functions over its weights.

It reads several sequences of different lengths at once, each with its own KV cache, without padding or
masks, and needs neither the transformers classes nor their import time. Tests pin it to `AROmniForCausalLM`.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from collections.abc import Sequence as Seq
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ar_omni.decoding.attention import ATTENTIONS
from ar_omni.decoding.cache import Sequence
from ar_omni.decoding.weights import Layer, Map, layer_from_module, layer_from_weights, scaled_norm
from ar_omni.errors import CheckpointError, InputError
from ar_omni.vocabulary import Span


class Network:
    """Ids -> hidden states -> the logits of chosen ids.

    Args:
        config: the values of `config.json`.
        embed: ids (N,) -> (N, hidden).
        layers: the decoder layers.
        norm: weight of the final norm (hidden,), from `scaled_norm`.
        head: the output projection (vocab, hidden), or a map to all logits where it is no plain matrix.
        attention: `"sdpa"` or `"flash"`.

    Layers may be on different devices; the ids enter at the first one's, and the head is at the last one's.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        embed: Map,
        layers: list[Layer],
        norm: Tensor,
        head: Tensor | Map,
        attention: str = "sdpa",
    ):
        self.embed, self.layers, self.norm, self.head = embed, layers, norm, head
        self.context: int = config["max_position_embeddings"]
        """Most ids of a sequence."""
        self._heads = (config["num_attention_heads"], config["num_key_value_heads"])
        self._head_dim = config["head_dim"]
        self._post_norm = config["norm_position"] == "post"
        floor = (config["rms_norm_eps"] * len(norm)) ** 0.5
        self._rms = partial(_rms_norm, floor=torch.tensor(floor))
        self._devices = [layer.norms[0].device for layer in layers]
        tables = _rope_tables(config, norm)
        self._rope = {device: tuple(t.to(device) for t in tables) for device in set(self._devices)}
        self._attend = ATTENTIONS[attention]
        self._exit_rows: dict[tuple[int, ...], Tensor] = {}

    @property
    def device(self) -> torch.device:
        return self.norm.device

    @property
    def dtype(self) -> torch.dtype:
        return self.norm.dtype

    @classmethod
    def from_weights(
        cls,
        weights: MutableMapping[str, Tensor],
        config: Mapping[str, Any],
        quantize: str | None = None,
        attention: str = "sdpa",
    ) -> Network:
        """Build from a state dict, which is emptied, and the values of `config.json`.

        Args:
            weights: as `AROmniForCausalLM` names them.
            config: as `AROmniConfig` names them.
            quantize: a scheme of `ar_omni.quantization` for the layers' maps; None keeps them whole.
            attention: `"sdpa"` or `"flash"`.

        Raises:
            CheckpointError: a weight that is missing.
        """
        try:
            embedding = weights.pop("model.embed_tokens.weight")
            head = embedding if config["tie_word_embeddings"] else weights.pop("lm_head.weight")
            layers = [layer_from_weights(weights, i, quantize) for i in range(config["num_hidden_layers"])]
            norm = scaled_norm(weights.pop("model.norm.weight"))
        except KeyError as error:
            raise CheckpointError(
                f"expected the weight {error} in the checkpoint, which is incomplete"
            ) from None
        embed = partial(functional.embedding, weight=embedding)
        return cls(config, embed, layers, norm, head, attention)

    @classmethod
    def from_model(cls, model: nn.Module) -> Network:
        """Share the modules of an `AROmniForCausalLM`, or of PEFT around one, adapters included.

        Norms are copied: after training steps, build anew.
        """
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        layers = [layer_from_module(layer) for layer in base.model.layers]
        head = base.lm_head.weight.detach() if type(base.lm_head) is nn.Linear else base.lm_head
        return cls(
            base.config.to_dict(), base.model.embed_tokens, layers, scaled_norm(base.model.norm.weight), head
        )

    @torch.inference_mode()
    def forward(self, sequences: Seq[Sequence]) -> Tensor:
        """Read what is new of R sequences, at least one id of each.

        Returns:
            the final hidden states (R, hidden) at their last ids.

        Raises:
            InputError: a sequence longer than the model's context.
        """
        for sequence in sequences:
            self._reserve(sequence)
        new = [sequence.new for sequence in sequences]
        counts = [len(ids) for ids in new]
        positions = [p for s in sequences for p in range(s.length, len(s.ids))]
        x = self.embed(torch.tensor([i for ids in new for i in ids], device=self._devices[0]))
        rope = {at: tuple(table[positions] for table in tables) for at, tables in self._rope.items()}
        for index, device in enumerate(self._devices):
            x = x if x.device == device else x.to(device)
            x = self._layer(x, index, rope[device], sequences, counts)
        for sequence, count in zip(sequences, counts, strict=True):
            sequence.length += count
        if len(x) > len(counts):
            x = x[torch.tensor(counts).cumsum(0) - 1]
        return self._rms(x, self.norm)

    @torch.inference_mode()
    def logits(self, hidden: Tensor, span: Span | None, exits: tuple[int, ...]) -> Tensor:
        """Only the rows of the head that are legal: (R, hidden) -> (R, len(span) + len(exits)), float32."""
        if not isinstance(self.head, Tensor):
            logits = self.head(hidden)
            inside = logits[:, span.start : span.stop] if span else logits[:, :0]
            return torch.cat([inside, logits[:, list(exits)]], dim=-1).float()
        hidden = hidden.to(self.head.device)
        parts = [functional.linear(hidden, self.head[span.start : span.stop])] if span else []
        if exits:
            if exits not in self._exit_rows:
                self._exit_rows[exits] = self.head[list(exits)]
            parts.append(functional.linear(hidden, self._exit_rows[exits]))
        return torch.cat(parts, dim=-1).float()

    def _reserve(self, sequence: Sequence) -> None:
        if len(sequence.ids) > self.context:
            raise InputError(
                f"expected at most {self.context} ids, this model's context, got {len(sequence.ids)}"
            )
        like = self.norm.new_empty(self._heads[1], 0, self._head_dim)
        sequence.reserve(like, self._devices, self.context)

    def _layer(self, x: Tensor, index: int, *where: Any) -> Tensor:
        layer = self.layers[index]
        if self._post_norm:
            x = x + self._rms(self._attention(x, index, *where), layer.norms[0])
            return x + self._rms(_mlp(layer, x), layer.norms[1])
        x = x + self._attention(self._rms(x, layer.norms[0]), index, *where)
        return x + _mlp(layer, self._rms(x, layer.norms[1]))

    def _attention(
        self, x: Tensor, index: int, rope: tuple[Tensor, Tensor], sequences: Seq[Sequence], counts: Seq[int]
    ) -> Tensor:
        """(N, hidden) -> (N, hidden), N the sum of `counts`; every sequence attends to itself only."""
        layer, (heads, kv_heads), (cos, sin) = self.layers[index], self._heads, rope
        qkv = layer.qkv(x).view(len(x), -1, self._head_dim)
        qk, value = qkv[:, : heads + kv_heads], qkv[:, heads + kv_heads :]
        qk = functional.layer_norm(qk, (self._head_dim,), eps=1e-5)
        qk = torch.addcmul(layer.qk_bias, qk, layer.qk_weight)
        qk = torch.addcmul(qk * cos, qk.roll(self._head_dim // 2, -1), sin)
        query, key = qk[:, :heads], qk[:, heads:]
        if len(sequences) == 1:
            return layer.out(sequences[0].attend(index, query, key, value, self._attend))
        rows = zip(sequences, query.split(counts), key.split(counts), value.split(counts), strict=True)
        return layer.out(torch.cat([s.attend(index, q, k, v, self._attend) for s, q, k, v in rows]))


def _mlp(layer: Layer, x: Tensor) -> Tensor:
    gate, up = layer.gate_up(x).chunk(2, dim=-1)
    return layer.down(functional.silu(gate) * up)


def _rms_norm(x: Tensor, weight: Tensor, floor: Tensor) -> Tensor:
    """x / sqrt(mean(x^2) + eps), in float32, times a weight from `scaled_norm`; floor^2 is n * eps."""
    wide = x.float()
    length = torch.hypot(torch.linalg.vector_norm(wide, dim=-1, keepdim=True), floor)
    return (wide / length).to(x.dtype) * weight


def _rope_tables(config: Mapping[str, Any], like: Tensor) -> tuple[Tensor, Tensor]:
    """cos and sin of shape (context, 1, head_dim); the sines are signed for `x.roll(head_dim / 2)`."""
    rope, dim = config["rope_parameters"], config["head_dim"]
    if rope["rope_type"] != "default":
        raise CheckpointError(f"expected rope_type 'default', got {rope['rope_type']!r}")
    frequencies = 1.0 / rope["rope_theta"] ** (torch.arange(0, dim, 2, dtype=torch.float) / dim)
    angles = torch.arange(config["max_position_embeddings"])[:, None].float() * frequencies
    cos, sin = angles.cos(), angles.sin()
    tables = (torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1))
    return tuple(table[:, None].to(like.device, like.dtype) for table in tables)
