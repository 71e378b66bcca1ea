"""What makes a checkpoint nano: its text units, the layout of its ids, and an untrained decoder."""

from __future__ import annotations

import string
from dataclasses import replace

from ar_omni.configuration import AROmniConfig
from ar_omni.modeling import AROmniForCausalLM
from ar_omni.processing import Processor
from ar_omni.template import Template
from ar_omni.tokenizers.base import ImageTokenizer, SpeechTokenizer
from ar_omni.tokenizers.text import SentencePieceTokenizer
from ar_omni.training.arguments import DecoderShape
from ar_omni.vocabulary import Vocabulary

HEAD_DIM = 64
ALPHABET = string.ascii_lowercase + string.digits + " .,?!'-:;\"()"
"""The characters that get a unit of their own; all others are spelt in bytes."""


def assemble(
    shape: DecoderShape, image: ImageTokenizer, speech: SpeechTokenizer, template: Template
) -> tuple[AROmniForCausalLM, Processor]:
    """An untrained decoder of `shape`, and the processor whose vocabulary it has.

    Args:
        shape: geometry of the decoder.
        image: trained tokenizer of pictures.
        speech: trained tokenizer of speech.
        template: layout of the turns; its numbers of codes a picture are set from `image`.
    """
    text = SentencePieceTokenizer.train([ALPHABET])
    vocabulary = Vocabulary.nano(text.codebook_size, image.codebook_size, speech.codebook_size)
    config = AROmniConfig(
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.num_hidden_layers,
        num_attention_heads=shape.hidden_size // HEAD_DIM,
        num_key_value_heads=shape.num_key_value_heads,
        head_dim=HEAD_DIM,
        norm_position=shape.norm_position,
        max_position_embeddings=shape.max_position_embeddings,
        tie_word_embeddings=True,
        image_embedding_dim=image.embedding.shape[1],
        vocabulary=vocabulary.to_dict(),
    )
    template = replace(
        template,
        codes_per_image=image.codes_per_image,
        codes_per_shown_image=image.codes_per_shown_image,
    )
    return AROmniForCausalLM(config), Processor(vocabulary, text, image, speech, template)
