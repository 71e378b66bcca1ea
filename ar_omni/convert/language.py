"""Foreign language models -> plans of lazily read tensors under our names.

Two things differ between the formats beside the names. Meta's files, and those of the 4.x forks, keep the
rows of each query and key head interleaved for a rotary embedding of adjacent pairs, with one QK-norm shared
by the heads of a shard; current transformers rotates halves, with one norm row for each head. The 4.x forks
are told by their norms, which are vectors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ar_omni.configuration import AROmniConfig
from ar_omni.convert.writer import LazyTensor
from ar_omni.errors import CheckpointError
from ar_omni.tensor_files import TensorFile

META_NAMES = {
    "tok_embeddings": "model.embed_tokens",
    "norm": "model.norm",
    "output": "lm_head",
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "attention.q_normalization": "self_attn.q_norm",
    "attention.k_normalization": "self_attn.k_norm",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
META_UNUSED = "rope.freqs"
PIECE_ROWS = 4096
VQ_PREFIX = "model.vqmodel."
HF_WEIGHTS = tuple(
    name + suffix for name in ("model.safetensors", "pytorch_model.bin") for suffix in ("", ".index.json")
)


@dataclass(frozen=True)
class LanguageModel:
    """A foreign model, opened: its geometry, where its tensors are, and what else was in its files."""

    geometry: dict[str, Any]
    """Keyword arguments of `AROmniConfig`."""
    pieces: dict[str, list[tuple[TensorFile, str]]]
    """Our name -> the file and foreign name of each of its model-parallel shards."""
    interleaved: bool
    vq_pieces: dict[str, tuple[TensorFile, str]]
    """The image tokenizer's tensors by taming's names, if the folder holds them."""
    image_size: int = 512

    def plan(self, config: AROmniConfig) -> dict[str, LazyTensor]:
        """Every tensor that a model of this config has, read from the source when it is asked for.

        Raises:
            CheckpointError: a tensor is missing, left over, or of another size.
        """
        expected = expected_shapes(config)
        pieces = dict(self.pieces)
        if config.tie_word_embeddings:
            pieces.pop("lm_head.weight", None)
        if amiss := sorted(expected.keys() ^ pieces.keys()):
            raise CheckpointError(
                f"expected the tensors of a {config.num_hidden_layers}-layer Chameleon, got others: "
                f"{', '.join(amiss[:5])}{' ...' if len(amiss) > 5 else ''}"
            )
        return {name: self._lazy(name, pieces[name], shape, config) for name, shape in expected.items()}

    def _lazy(self, name: str, pieces: list, shape: tuple[int, ...], config: AROmniConfig) -> LazyTensor:
        def read() -> Iterator[Tensor]:
            shards = (file.read(foreign) for file, foreign in pieces)
            kind = re.search(r"self_attn\.([qk])_(proj|norm)", name)
            if kind and kind[2] == "norm":
                yield _head_norm(list(shards), shape, self.interleaved)
            elif kind and self.interleaved:
                for shard in shards:  # whole heads
                    yield _by_halves(shard.view(-1, config.head_dim, shape[1])).view(shard.shape)
            else:
                first = tuple(pieces[0][0].shape(pieces[0][1]))
                yield from _merged(shards, first, shape, name)

        file, foreign = pieces[0]
        return LazyTensor(shape, file.dtype(foreign), read)


def open_meta(folder: Path, trust_pickle: bool = False) -> LanguageModel:
    """A folder of `params.json`, perhaps `consolidate_params.json`, and `consolidated*.pth` shards."""
    params = _meta_params(folder)
    files = [TensorFile(path, trust_pickle) for path in sorted(folder.glob("consolidated*.pth"))]
    pieces: dict[str, list] = {}
    for file in files:
        for name in file:
            if not name.endswith(META_UNUSED):
                pieces.setdefault(_meta_name(name, file.path), []).append((file, name))
    if any(len(shards) != len(files) for shards in pieces.values()):
        raise CheckpointError(f"expected the same tensors in each shard of {folder}, got different ones")

    def size(name: str) -> int:
        """The number of values of a tensor over all shards, divided by the model's width."""
        shards = pieces.get(name, [])
        return sum(torch.Size(file.shape(foreign)).numel() for file, foreign in shards) // params["dim"]

    heads = params["n_heads"]
    geometry = {
        "vocab_size": size("model.embed_tokens.weight"),
        "hidden_size": params["dim"],
        "intermediate_size": size("model.layers.0.mlp.gate_proj.weight"),
        "num_hidden_layers": params["n_layers"],
        "num_attention_heads": heads,
        "num_key_value_heads": params.get("n_kv_heads") or heads,
        "rms_norm_eps": params.get("norm_eps", 1e-5),
        "rope_parameters": {"rope_type": "default", "rope_theta": params.get("rope_theta") or 10000.0},
        "max_position_embeddings": params.get("seq_len") or params.get("max_seq_len") or 4096,
        "norm_position": "post" if params.get("swin_norm") else "pre",
    }
    return LanguageModel(geometry, pieces, interleaved=True, vq_pieces={})


def open_hf(folder: Path, trust_pickle: bool = False) -> LanguageModel:
    """A folder of `config.json` (model type chameleon) and safetensors or `.bin` weights."""
    config = read_json(folder / "config.json")
    pieces: dict[str, list] = {}
    vq_pieces = {}
    for file in _hf_files(folder, trust_pickle):
        for name in file:
            if name.startswith(VQ_PREFIX):
                vq_pieces[name.removeprefix(VQ_PREFIX)] = (file, name)
            else:
                pieces[name] = [(file, name)]
    norm = pieces.get("model.layers.0.self_attn.q_norm.weight")
    if not norm:
        raise CheckpointError(f"expected a Chameleon with QK-norm in {folder}, got one without it")
    rope = config.get("rope_parameters") or {
        "rope_type": "default",
        "rope_theta": config.get("rope_theta", 10000.0),
        **(config.get("rope_scaling") or {}),
    }
    copied = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    geometry = {key: config[key] for key in copied} | {
        "num_key_value_heads": config.get("num_key_value_heads") or config["num_attention_heads"],
        "rms_norm_eps": config.get("rms_norm_eps", 1e-5),
        "rope_parameters": rope,
        "max_position_embeddings": config.get("max_position_embeddings", 4096),
        "norm_position": "post" if config.get("swin_norm") else "pre",
        "tie_word_embeddings": bool(config.get("tie_word_embeddings")),
    }
    interleaved = len(norm[0][0].shape(norm[0][1])) == 1
    image_size = (config.get("vq_config") or {}).get("resolution", 512)
    return LanguageModel(geometry, pieces, interleaved, vq_pieces, image_size)


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"expected a JSON file, got {path}: {error}") from error


def _meta_params(folder: Path) -> dict[str, Any]:
    """Both parameter files as one flat dictionary; either may nest its values under "model"."""
    params: dict[str, Any] = {}
    for name in ("params.json", "consolidate_params.json"):
        if (folder / name).is_file():
            values = read_json(folder / name)
            params |= values | (values.get("model") or {})
    if missing := {"dim", "n_layers", "n_heads"} - params.keys():
        raise CheckpointError(f"expected {', '.join(sorted(missing))} in {folder / 'params.json'}, got none")
    if not params.get("qk_normalization", True):
        raise CheckpointError(f"expected a Chameleon with QK-norm in {folder}, got one without it")
    return params


def _meta_name(name: str, path: Path) -> str:
    """Meta's name of a tensor -> ours."""
    match = re.fullmatch(r"(?:layers\.(\d+)\.)?(.+)\.(weight|bias)", name)
    if not match or match[2] not in META_NAMES:
        raise CheckpointError(f"expected the tensors of a Chameleon in {path}, got {name}")
    layer = "" if match[1] is None else f"model.layers.{match[1]}."
    return f"{layer}{META_NAMES[match[2]]}.{match[3]}"


def _hf_files(folder: Path, trust_pickle: bool) -> list[TensorFile]:
    name = next((name for name in HF_WEIGHTS if (folder / name).is_file()), None)
    if name is None:
        raise CheckpointError(f"expected {' or '.join(HF_WEIGHTS)} in {folder}, got none of them")
    names = [name]
    if name.endswith(".json"):
        names = sorted(set(read_json(folder / name)["weight_map"].values()))
    return [TensorFile(folder / name, trust_pickle) for name in names]


def expected_shapes(config: AROmniConfig) -> Mapping[str, tuple[int, ...]]:
    """Names and shapes of our model's tensors, in order, without making them."""
    from ar_omni.modeling import AROmniForCausalLM

    with torch.device("meta"):
        model = AROmniForCausalLM(config)
    state = model.state_dict()
    if config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    return {name: tuple(value.shape) for name, value in state.items()}


def _merged(
    shards: Iterator[Tensor], first: tuple[int, ...], shape: tuple[int, ...], name: str
) -> Iterator[Tensor]:
    """Model-parallel shards, each shaped like the first -> one tensor, in pieces of its rows.

    They are joined where they are narrower than it, and averaged where they are not.
    """
    if first == shape:
        copies = list(shards)
        yield copies[0] if len(copies) == 1 else torch.stack(copies).float().mean(0).to(copies[0].dtype)
    elif first[1:] == shape[1:]:
        yield from shards
    elif len(shape) == 2 and first[0] == shape[0]:
        columns = list(shards)
        for start in range(0, shape[0], PIECE_ROWS):
            yield torch.cat([shard[start : start + PIECE_ROWS] for shard in columns], dim=1)
    else:
        raise CheckpointError(f"expected shards of shape {shape} for {name}, got {first}")


def _head_norm(shards: Sequence[Tensor], shape: tuple[int, ...], interleaved: bool) -> Tensor:
    """The norm of each shard's heads -> one row for each head, (heads, head_dim)."""
    rows = torch.cat([shard.view(-1, shape[1]) for shard in shards])
    if shape[0] % len(rows):
        raise CheckpointError(f"expected QK-norms for {shape[0]} heads, got {len(rows)}")
    rows = rows.repeat_interleave(shape[0] // len(rows), dim=0)
    return _by_halves(rows) if interleaved else rows


def _by_halves(heads: Tensor) -> Tensor:
    """Adjacent rotary pairs (2i, 2i + 1) of dimension 1 -> halves (i, i + n / 2)."""
    return torch.cat([heads[:, 0::2], heads[:, 1::2]], dim=1)
