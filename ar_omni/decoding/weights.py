"""One decoder layer as maps and norms, from a state dict or from the modules of a transformers model."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from ar_omni.quantization import quantized_linear

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Layer:
    """Four maps, and the parameters of the norms.

    Attributes:
        qkv: (N, hidden) -> (N, (heads + 2 kv_heads) * head_dim).
        out: (N, heads * head_dim) -> (N, hidden).
        gate_up: (N, hidden) -> (N, 2 * intermediate).
        down: (N, intermediate) -> (N, hidden).
        qk_weight: (heads + kv_heads, head_dim); `qk_bias` alike.
        norms: weights of the attention's and the MLP's norm, each (hidden,), from `scaled_norm`.
    """

    qkv: Map
    out: Map
    gate_up: Map
    down: Map
    qk_weight: Tensor
    qk_bias: Tensor
    norms: tuple[Tensor, Tensor]


def layer_from_weights(
    weights: MutableMapping[str, Tensor], index: int, quantize: str | None = None
) -> Layer:
    """Take one layer out of a state dict; maps that read the same input are joined into one.

    Args:
        weights: the state dict.
        index: of the layer.
        quantize: a scheme of `ar_omni.quantization` for the maps.

    Raises:
        KeyError: a weight that is missing.
    """
    at = f"model.layers.{index}"

    def take(*names: str) -> Tensor:
        parts = [weights.pop(f"{at}.{name}") for name in names]
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def linear(*names: str) -> Map:
        weight = take(*(f"{name}.weight" for name in names))
        bias = take(*(f"{name}.bias" for name in names)) if f"{at}.{names[0]}.bias" in weights else None
        if quantize:
            return quantized_linear(weight, bias, quantize)
        # column-major: a product with one row reads the memory in order, about twice as fast on CPU
        return partial(functional.linear, weight=weight.t().contiguous().t(), bias=bias)

    return Layer(
        qkv=linear("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        out=linear("self_attn.o_proj"),
        gate_up=linear("mlp.gate_proj", "mlp.up_proj"),
        down=linear("mlp.down_proj"),
        qk_weight=take("self_attn.q_norm.weight", "self_attn.k_norm.weight"),
        qk_bias=take("self_attn.q_norm.bias", "self_attn.k_norm.bias"),
        norms=(
            scaled_norm(take("input_layernorm.weight")),
            scaled_norm(take("post_attention_layernorm.weight")),
        ),
    )


def layer_from_module(layer: nn.Module) -> Layer:
    """Share the modules of an `AROmniDecoderLayer`, or the adapters and quantized maps in their place."""
    attention, mlp = layer.self_attn, layer.mlp
    norms = (attention.q_norm, attention.k_norm)
    return Layer(
        qkv=_joined(attention.q_proj, attention.k_proj, attention.v_proj),
        out=attention.o_proj,
        gate_up=_joined(mlp.gate_proj, mlp.up_proj),
        down=mlp.down_proj,
        qk_weight=torch.cat([norm.weight for norm in norms]).detach(),
        qk_bias=torch.cat([norm.bias for norm in norms]).detach(),
        norms=(scaled_norm(layer.input_layernorm.weight), scaled_norm(layer.post_attention_layernorm.weight)),
    )


def scaled_norm(weight: Tensor) -> Tensor:
    """weight * sqrt(n): the root of a mean square is a vector norm by sqrt(n), and that is one operation."""
    return weight.detach() * len(weight) ** 0.5


def _joined(*modules: nn.Module) -> Map:
    return lambda x: torch.cat([module(x) for module in modules], dim=-1)
