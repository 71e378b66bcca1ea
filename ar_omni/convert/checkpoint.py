"""From recognised sources to the files of our checkpoint folder."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from ar_omni.configuration import AROmniConfig
from ar_omni.convert import presets
from ar_omni.convert.codecs import vqgan_from_state, vqgan_tokenizer, wav_tokenizer
from ar_omni.convert.language import LanguageModel, read_json
from ar_omni.convert.sources import Sources
from ar_omni.convert.writer import write_tensors
from ar_omni.decoding.options import PRESETS_NAME
from ar_omni.errors import CheckpointError
from ar_omni.template import TEMPLATE_NAME
from ar_omni.tokenizers.text import HFTokenizer
from ar_omni.tokenizers.vqgan import VQGANTokenizer
from ar_omni.vocabulary import Span, Vocabulary

LAST_RESERVED = re.compile(r"<reserved\d+>")
IMAGE_TOKEN = re.compile(r"IMGIMG([A-J]+)Z")


def write_checkpoint(folder: Path, sources: Sources, trust_pickle: bool, progress: bool) -> dict[str, Any]:
    """Write every part that the sources have; returns what the manifest notes about them."""
    language = sources.open_language(trust_pickle)
    image = _image_tokenizer(sources, language, trust_pickle)
    speech = sources.wavtokenizer and wav_tokenizer(
        sources.wavtokenizer.path, sources.wavtokenizer.settings, trust_pickle
    )
    codecs = {"image_tokenizer": image, "speech_tokenizer": speech}
    found = {name: codec for name, codec in codecs.items() if codec is not None}
    if language is None and len(found) == 1:
        next(iter(found.values())).save(folder)
    else:
        for name, codec in found.items():
            codec.save(folder / name)
    if language is not None:
        untrained = () if image and image.config.has_decoder else ("image",)
        untrained += () if speech else ("speech",)
        codes_per_image = image.codes_per_image if image else 1024
        _write_language(folder, sources, language, progress)
        _write_json(folder / TEMPLATE_NAME, presets.template(codes_per_image, untrained).to_dict())
        _write_json(folder / PRESETS_NAME, {"presets": presets.DECODING})
    paths = {
        "language": sources.language,
        "text_tokenizer": sources.text_tokenizer,
        "vqgan": sources.vqgan and sources.vqgan.path,
        "wavtokenizer": sources.wavtokenizer and sources.wavtokenizer.path,
    }
    return {"converted_from": {name: str(path) for name, path in paths.items() if path}}


def _image_tokenizer(
    sources: Sources, language: LanguageModel | None, trust_pickle: bool
) -> VQGANTokenizer | None:
    """The VQGAN's own checkpoint, which has the decoder, or else what the language model's folder holds."""
    if sources.vqgan is not None:
        return vqgan_tokenizer(sources.vqgan.path, sources.vqgan.settings, trust_pickle)
    if language is None or not language.vq_pieces:
        return None
    state = {name: file.read(foreign) for name, (file, foreign) in language.vq_pieces.items()}
    return vqgan_from_state(state, language.image_size, str(sources.language))


def _write_language(folder: Path, sources: Sources, language: LanguageModel, progress: bool) -> None:
    """Weights, config and text tokenizer."""
    size = language.geometry["vocab_size"]
    vocabulary = Vocabulary.ar_omni_7b(size)
    if sources.text_tokenizer is not None:
        vocabulary = _vocabulary(sources.text_tokenizer, size)
        specification = sources.text_tokenizer.read_text(encoding="utf-8")
        HFTokenizer(specification, vocabulary.text.start).save(folder / "text_tokenizer")
    config = AROmniConfig(
        **language.geometry, vocabulary=vocabulary.to_dict(), architectures=["AROmniForCausalLM"]
    )
    tensors = language.plan(config)
    config.dtype = tensors["model.embed_tokens.weight"].dtype
    write_tensors(folder, tensors, progress)
    config.save_pretrained(folder)


def _vocabulary(path: Path, size: int) -> Vocabulary:
    """The published id layout, with the text span where this tokenizer's pieces begin."""
    specification = read_json(path)
    table = dict(specification["model"]["vocab"])
    table |= {token["content"]: token["id"] for token in specification["added_tokens"]}
    layout = Vocabulary.ar_omni_7b(size)
    reserved = [i for name, i in table.items() if LAST_RESERVED.fullmatch(name)]
    names = {i: match[1] for name, i in table.items() if (match := IMAGE_TOKEN.fullmatch(name))}
    codes = {i: int(name.translate(str.maketrans("ABCDEFGHIJ", "0123456789"))) for i, name in names.items()}
    wrong = [i for i, code in codes.items() if i != layout.image.start + code]
    if wrong or len(codes) != len(layout.image) or not reserved:
        raise CheckpointError(
            f"expected Chameleon's tokenizer, with image code c at id {layout.image.start} + c, "
            f"got another in {path}"
        )
    return replace(layout, text=Span(max(reserved) + 1, size))


def _write_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
