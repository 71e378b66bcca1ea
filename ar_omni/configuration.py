"""`AROmniConfig`: the geometry of the decoder and the layout of its ids."""

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig
from transformers.models.llama.configuration_llama import LlamaConfig

from ar_omni.vocabulary import Vocabulary


@strict
class AROmniConfig(LlamaConfig):
    """A Llama geometry with QK-norm, a choice of norm placement, and the vocabulary of the checkpoint.

    Args:
        norm_position: `"pre"`: x + f(norm(x)); `"post"` (residual post-norm, "swin-norm"): x + norm(f(x)).
        image_embedding_dim: width of the image codebook that the perceptual alignment loss projects to;
            0 without it.
        vocabulary: `Vocabulary.to_dict()`; when given, it sets `vocab_size` and the bos, eos and pad ids.

    Raises:
        ValueError: sizes that do not divide, or a `norm_position` that is neither `"pre"` nor `"post"`.
    """

    model_type = "ar_omni"
    model_parallel_size = 1  # read by the QK-norm; there is one shard

    vocab_size: int = 65536
    intermediate_size: int = 11008
    max_position_embeddings: int = 4096
    rms_norm_eps: float = 1e-5
    norm_position: str = "pre"
    image_embedding_dim: int = 0
    vocabulary: dict | None = None

    def __post_init__(self, **kwargs):
        if self.vocabulary is not None:
            ids = Vocabulary.from_dict(self.vocabulary)
            self.vocab_size = ids.size
            self.bos_token_id, self.pad_token_id = ids.bos_id, ids.pad_id
            self.eos_token_id = [ids.eos_id, ids.eom_id]
        super().__post_init__(**kwargs)

    def validate_architecture(self):
        """Run by `@strict` after construction."""
        super().validate_architecture()
        if self.head_dim * self.num_attention_heads != self.hidden_size:
            raise ValueError(
                f"head_dim ({self.head_dim}) x num_attention_heads ({self.num_attention_heads}) "
                f"must equal hidden_size ({self.hidden_size})"
            )
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_attention_heads ({self.num_attention_heads}) must be a multiple of "
                f"num_key_value_heads ({self.num_key_value_heads})"
            )
        if self.norm_position not in ("pre", "post"):
            raise ValueError(f"norm_position must be 'pre' or 'post', got {self.norm_position!r}")


AutoConfig.register("ar_omni", AROmniConfig)
