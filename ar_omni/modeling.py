"""`AROmniForCausalLM`: the one network that predicts; an ordinary transformers model.

A Llama decoder whose attention normalises queries and keys (Chameleon's), with pre-norm or residual
post-norm. State-dict keys are Llama's, plus `self_attn.{q,k}_norm` and an optional `image_projector`.
"""

from typing import ClassVar

import torch
from torch import nn
from transformers import AutoModelForCausalLM
from transformers import initialization as init
from transformers.models.chameleon.modeling_chameleon import ChameleonAttention
from transformers.models.llama.modeling_llama import (
    LlamaDecoderLayer,
    LlamaForCausalLM,
    LlamaModel,
    LlamaPreTrainedModel,
    LlamaRMSNorm,
    LlamaRotaryEmbedding,
)

from ar_omni.configuration import AROmniConfig


class AROmniDecoderLayer(LlamaDecoderLayer):
    """Pre-norm: `h = x + Attn(Norm(x)); y = h + MLP(Norm(h))`."""

    def __init__(self, config: AROmniConfig, layer_idx: int):
        super().__init__(config, layer_idx)
        self.self_attn = ChameleonAttention(config, layer_idx)
        for linear in (self.self_attn.o_proj, self.mlp.down_proj):
            linear.feeds_residual = True


class AROmniPostNormLayer(AROmniDecoderLayer):
    """Residual post-norm ("swin-norm"): `h = x + Norm(Attn(x)); y = h + Norm(MLP(h))`."""

    def forward(self, hidden_states: torch.Tensor, **kwargs) -> torch.Tensor:
        attended, _ = self.self_attn(hidden_states=hidden_states, **kwargs)
        hidden_states = hidden_states + self.input_layernorm(attended)
        return hidden_states + self.post_attention_layernorm(self.mlp(hidden_states))


LAYERS = {"pre": AROmniDecoderLayer, "post": AROmniPostNormLayer}


class AROmniPreTrainedModel(LlamaPreTrainedModel):
    config: AROmniConfig
    _no_split_modules: ClassVar = ["AROmniDecoderLayer", "AROmniPostNormLayer"]
    _can_record_outputs: ClassVar = {"hidden_states": AROmniDecoderLayer, "attentions": ChameleonAttention}

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if getattr(module, "feeds_residual", False):  # keeps the residual stream's variance flat over depth
            depth = 2 * self.config.num_hidden_layers
            init.normal_(module.weight, std=self.config.initializer_range / depth**0.5)


class AROmniModel(AROmniPreTrainedModel, LlamaModel):
    """Ids (B, T) -> hidden states (B, T, hidden_size), after the final norm.

    Right-padded training batches need no `attention_mask`: causal attention never looks at what comes later,
    so leave it out (SDPA then runs without a mask) and give the padding a loss weight of 0.
    """

    def __init__(self, config: AROmniConfig):
        AROmniPreTrainedModel.__init__(self, config)
        self.padding_idx = config.pad_token_id
        self.vocab_size = config.vocab_size
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        layer = LAYERS[config.norm_position]
        self.layers = nn.ModuleList([layer(config, i) for i in range(config.num_hidden_layers)])
        self.norm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.rotary_emb = LlamaRotaryEmbedding(config=config)
        self.gradient_checkpointing = False
        self.post_init()


class AROmniForCausalLM(AROmniPreTrainedModel, LlamaForCausalLM):
    """Ids (B, T) -> logits (B, T, vocab_size).

    `model.model(...)` gives the last hidden states without logits; `lm_head` is applied to any part of them.
    `image_projector` (W_h of the perceptual alignment loss) exists when `config.image_embedding_dim` > 0.
    """

    def __init__(self, config: AROmniConfig):
        AROmniPreTrainedModel.__init__(self, config)
        self.model = AROmniModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.image_embedding_dim:
            self.image_projector = nn.Linear(config.hidden_size, config.image_embedding_dim)
        self.post_init()


AutoModelForCausalLM.register(AROmniConfig, AROmniForCausalLM)
