"""LoRA through PEFT: small maps beside attention and MLP, and embedding rows of chosen kinds of ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ar_omni.errors import InputError, import_extra
from ar_omni.vocabulary import MODALITIES, Vocabulary

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn

    from ar_omni.modeling import AROmniForCausalLM

CONTROLS = "controls"


@dataclass(frozen=True)
class LoraOptions:
    """What an adapter holds."""

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    modules: Sequence[str] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    """Linear maps of each layer that get an adapter."""
    rows: Sequence[str] = ()
    """Ids whose rows of the embedding and the head are trained whole: text, image, speech, controls."""
    quantize: bool = False
    """QLoRA: keep the frozen weights in 4 bits; needs bitsandbytes."""

    def __post_init__(self) -> None:
        wrong = set(self.rows) - {*MODALITIES, CONTROLS}
        if wrong:
            raise InputError(
                f"expected rows of {', '.join((*MODALITIES, CONTROLS))}, got {', '.join(map(str, wrong))}"
            )


def add_adapter(model: AROmniForCausalLM, options: LoraOptions) -> PeftModel:
    """Freezes the model and puts untrained adapters into it; the result wraps the same modules.

    Raises:
        DependencyError: PEFT is not installed.
    """
    peft = import_extra("peft", "train")
    ids = _row_ids(options.rows, Vocabulary.from_dict(model.config.vocabulary)) if options.rows else None
    tables = ["embed_tokens"] if model.config.tie_word_embeddings else ["embed_tokens", "lm_head"]
    config = peft.LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=list(options.modules),
        trainable_token_indices=dict.fromkeys(tables, ids) if ids else None,
        task_type="CAUSAL_LM",
    )
    return peft.get_peft_model(model, config)


def trainable_share(model: nn.Module) -> str:
    """How many of the parameters are trained, for people."""
    sizes = [(value.numel(), value.requires_grad) for value in model.parameters()]
    total, trained = sum(size for size, _ in sizes), sum(size for size, learns in sizes if learns)
    return f"{trained:,} of {total:,} parameters are trained ({trained / total:.2%})"


def _row_ids(rows: Sequence[str], vocabulary: Vocabulary) -> list[int]:
    ids = list(vocabulary.specials.values()) if CONTROLS in rows else []
    for name in MODALITIES:
        if name in rows:
            span = getattr(vocabulary, name)
            ids += range(span.start, span.stop)
    return sorted(set(ids))
