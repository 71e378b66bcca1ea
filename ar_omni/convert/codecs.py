"""Foreign codec weights -> our tokenizers: taming-style VQGAN and WavTokenizer checkpoints.

Widths come from the tensors' shapes; a yaml file only says what shapes cannot (sample rate, picture size).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ar_omni.errors import CheckpointError
from ar_omni.tensor_files import load_state
from ar_omni.tokenizers.vqgan import VQGANConfig, VQGANNetwork, VQGANTokenizer
from ar_omni.tokenizers.wavtokenizer import WavTokenizer, WavTokenizerConfig, WavTokenizerNetwork

WAV_ENCODER = "feature_extractor.encodec.encoder.model."
WAV_QUANTIZER = "feature_extractor.encodec.quantizer.vq.layers."
VQGAN_PARTS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.", "quantize.")


def vqgan_tokenizer(path: Path, settings: Mapping[str, Any], trust_pickle: bool = False) -> VQGANTokenizer:
    """The image tokenizer in a taming `.ckpt`.

    Args:
        path: the checkpoint.
        settings: its yaml, parsed; `ddconfig.resolution` is the picture's side in pixels.
        trust_pickle: as in `load_pickle`.
    """
    resolution = find_setting(settings, "resolution")
    return vqgan_from_state(load_state(path, trust_pickle), int(resolution or 512), str(path))


def vqgan_from_state(state: Mapping[str, Tensor], image_size: int, source: str) -> VQGANTokenizer:
    """The image tokenizer of taming-named tensors in any dtype; without `decoder.*` it only encodes."""
    state = {name: value.float() for name, value in state.items() if name.startswith(VQGAN_PARTS)}
    try:
        config = _vqgan_config(state, image_size)
        if not config.has_decoder:
            state = {name: value for name, value in state.items() if not name.startswith("post_quant_conv.")}
        levels = len(config.channel_multiplier)
        state = {_vqgan_name(name, levels): value for name, value in state.items()}
        with torch.device("meta"):
            network = VQGANNetwork(config)
        network.load_state_dict(state, assign=True)
    except (KeyError, RuntimeError, ValueError) as error:
        raise _mismatch("a VQGAN", source, error) from error
    return VQGANTokenizer(config, network)


def wav_tokenizer(path: Path, settings: Mapping[str, Any], trust_pickle: bool = False) -> WavTokenizer:
    """The speech tokenizer in a WavTokenizer `.ckpt`.

    Args:
        path: the checkpoint.
        settings: its yaml, parsed; `sample_rate` in Hz and the head's `padding` are read from it.
        trust_pickle: as in `load_pickle`.
    """
    if find_setting(settings, "padding") not in (None, "same"):
        raise CheckpointError(f'expected a vocoder with "same" padding, got another one beside {path}')
    state = load_state(path, trust_pickle)
    try:
        _check_codebook(state, path)
        config = _wav_config(state, int(find_setting(settings, "sample_rate") or 24000))
        network = WavTokenizerNetwork(config)
        network.load_state_dict(_wav_weights(state))
    except (KeyError, RuntimeError, ValueError) as error:
        raise _mismatch("a WavTokenizer", str(path), error) from error
    return WavTokenizer(config, network)


def find_setting(settings: Any, name: str) -> Any:
    """The first value under the key `name` at any depth of a parsed yaml; None without one."""
    if isinstance(settings, Mapping):
        if name in settings:
            return settings[name]
        return next((v for v in (find_setting(s, name) for s in settings.values()) if v is not None), None)
    return None


def _mismatch(kind: str, source: str, error: Exception) -> CheckpointError:
    if isinstance(error, CheckpointError):
        return error
    reason = " ".join(str(error).split())[:300]
    return CheckpointError(f"expected the tensors of {kind}, got others in {source}: {reason}")


def _numbers(names: Iterable[str], pattern: str) -> list[int]:
    """The distinct numbers that a pattern's group takes among the names, sorted."""
    return sorted({int(match[1]) for match in map(re.compile(pattern).match, names) if match})


def _vqgan_config(state: Mapping[str, Tensor], image_size: int) -> VQGANConfig:
    base = state["encoder.conv_in.weight"].shape[0]
    levels = _numbers(state, r"encoder\.down\.(\d+)\.block")
    widths = [state[f"encoder.down.{level}.block.0.conv1.weight"].shape[0] for level in levels]
    codebook_size, embed_dim = state["quantize.embedding.weight"].shape
    latent_channels = state["encoder.conv_out.weight"].shape[0]
    if state["quant_conv.weight"].shape[:2] != (embed_dim, latent_channels):
        raise ValueError("the encoder's latents do not fit the codebook (double_z is not supported)")
    return VQGANConfig(
        image_size=image_size,
        base_channels=base,
        channel_multiplier=tuple(width // base for width in widths),
        encoder_blocks=len(_numbers(state, r"encoder\.down\.0\.block\.(\d+)\.")),
        latent_channels=latent_channels,
        embed_dim=embed_dim,
        codebook_size=codebook_size,
        encoder_attention=tuple(_numbers(state, r"encoder\.down\.(\d+)\.attn\.")),
        decoder_attention=tuple(_numbers(state, r"decoder\.up\.(\d+)\.attn\.")),
        has_decoder="decoder.conv_in.weight" in state,
    )


def _vqgan_name(name: str, levels: int) -> str:
    """taming numbers the decoder's levels from the finest, transformers from the coarsest."""
    name = name.replace("quantize.embedding.", "codebook.")
    return re.sub(r"^decoder\.up\.(\d+)\.", lambda match: f"decoder.up.{levels - 1 - int(match[1])}.", name)


def _check_codebook(state: Mapping[str, Tensor], path: Path) -> None:
    """One codebook that training has filled."""
    layers = _numbers(state, re.escape(WAV_QUANTIZER) + r"(\d+)\.")
    if layers != [0]:
        raise CheckpointError(f"expected one codebook in {path}, got {len(layers)}")
    if not state[f"{WAV_QUANTIZER}0._codebook.inited"].all():
        raise CheckpointError(f"expected a trained codebook in {path}, got one that was never initialised")


def _wav_config(state: Mapping[str, Tensor], sample_rate: int) -> WavTokenizerConfig:
    filters, _, _ = state[f"{WAV_ENCODER}0.conv.conv.weight_v"].shape
    kernels = {
        layer: state[f"{WAV_ENCODER}{layer}.conv.conv.weight_v"].shape[-1]
        for layer in _numbers(state, re.escape(WAV_ENCODER) + r"(\d+)\.conv\.conv\.weight_v")
    }
    lstm = _numbers(state, re.escape(WAV_ENCODER) + r"\d+\.lstm\.weight_ih_l(\d+)")
    codebook_size, codebook_dim = state[f"{WAV_QUANTIZER}0._codebook.embed"].shape
    intermediate_dim, dim = state["backbone.convnext.0.pwconv1.weight"].shape
    return WavTokenizerConfig(
        sample_rate=sample_rate,
        codebook_size=codebook_size,
        codebook_dim=codebook_dim,
        encoder_filters=filters,
        strides=tuple(kernels[layer] // 2 for layer in sorted(kernels)[1:-1]),  # kernels span two strides
        lstm_layers=len(lstm),
        dim=dim,
        intermediate_dim=intermediate_dim,
        num_layers=len(_numbers(state, r"backbone\.convnext\.(\d+)\.")),
        bandwidths=state["backbone.norm.scale.weight"].shape[0],
        n_fft=state["head.istft.window"].shape[0],
    )


def _wav_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our names and plain weights; training-only and unused parts are left out."""
    weights = {"codebook.weight": state[f"{WAV_QUANTIZER}0._codebook.embed"].float()}
    for name, value in state.items():
        if name.startswith(WAV_ENCODER):
            name = "encoder.layers." + name.removeprefix(WAV_ENCODER).replace(".conv.conv.", ".conv.")
            if name.endswith(".weight_g"):
                continue
            if name.endswith(".weight_v"):
                gain = state[_sibling(name)].float()
                name, value = name.removesuffix("_v"), _weight_norm(value.float(), gain)
            weights[name] = value.float()
        elif name.startswith(("backbone.", "head.")):
            weights["vocoder." + name.replace("head.istft.window", "head.window")] = value.float()
    return weights


def _sibling(name: str) -> str:
    """The source's name of the gain that belongs to one of our `weight_v` names."""
    name = name.removeprefix("encoder.layers.").replace(".conv.weight_v", ".conv.conv.weight_g")
    return WAV_ENCODER + name


def _weight_norm(direction: Tensor, gain: Tensor) -> Tensor:
    return direction * (gain / direction.flatten(1).norm(dim=1)[:, None, None])
