"""Training that begins with a checkpoint: its model, its rows, and the loop over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from tqdm import tqdm

from ar_omni.errors import InputError, import_extra
from ar_omni.modeling import AROmniForCausalLM
from ar_omni.processing import Processor
from ar_omni.training.arguments import TuneRecipe
from ar_omni.training.context import readers
from ar_omni.training.data import pooled
from ar_omni.training.loop import Batch, OnSave, train
from ar_omni.training.mixture import Source, mixture
from ar_omni.training.objective import Objective, pad_rows
from ar_omni.training.shards import Shards, as_row, without_prompt


def load_model(folder: Path, processor: Processor, recipe: TuneRecipe) -> AROmniForCausalLM:
    """The checkpoint's model in float32, with what the recipe changes of it.

    Raises:
        DependencyError: 4-bit weights are asked for and bitsandbytes is not installed.
    """
    changes: dict[str, Any] = {}
    if recipe.norm_position:
        changes["norm_position"] = recipe.norm_position
    if recipe.objective.perceptual:
        changes["image_embedding_dim"] = processor.image_tokenizer.embedding.shape[1]
    if recipe.lora.quantize:
        import_extra("bitsandbytes", "qlora")
        from transformers import BitsAndBytesConfig

        changes["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
        )
    return AROmniForCausalLM.from_pretrained(folder, dtype=torch.float32, **changes)


def tune(
    model: AROmniForCausalLM,
    processor: Processor,
    recipe: TuneRecipe,
    folder: Path,
    accelerator: Accelerator,
    on_save: OnSave,
) -> None:
    """Trains what of `model` is trainable, on the recipe's shards.

    Args:
        model: whole, or frozen with adapters in it.
        processor: of the checkpoint.
        recipe: data, options and numbers.
        folder: of the run.
        accelerator: the processes.
        on_save: exports the model.

    Raises:
        InputError: shards that cannot be read, or that hold no usable rows.
        CheckpointError: shards made with another vocabulary.
    """
    context = model.config.max_position_embeddings
    longest = recipe.max_length or context
    if longest > context:
        raise InputError(f"expected max_length of at most {context}, the model's context, got {longest}")
    prompt = processor.encode_unconditional([{"role": "user", "content": "-"}])[-1]
    sources = [
        _source(Shards.open(options.shards, processor.vocabulary), options.share, recipe, prompt, longest)
        for options in recipe.data.values()
    ]
    for source in sources:
        if source.left_out and accelerator.is_main_process:
            tqdm.write(
                f"{source.name}: {source.left_out} of {len(source.lengths)} rows are left out: "
                f"empty, or longer than {longest} ids"
            )
    parts = readers(accelerator) * recipe.loop.accumulation
    fill = mixture(sources, recipe.tokens_per_batch / parts, parts, recipe.seed)
    embedding = processor.image_tokenizer.embedding if recipe.objective.perceptual else None
    objective = Objective(model, processor.vocabulary, embedding, recipe.objective)
    packed = longest if recipe.packing else 0
    batch_at = pooled(fill, parts, processor.vocabulary.pad_id, recipe.seed, packed)
    held_out = _held_out(recipe, processor, context)
    train(objective, batch_at, recipe.loop, folder, accelerator, on_save, held_out, recipe.seed)


def _source(shards: Shards, share: float, recipe: TuneRecipe, prompt: list[int], longest: int) -> Source:
    """The shards as a source of rows; a share of the drawings comes without what asked for them."""

    def row(index: int, rng) -> tuple[list[int], list[float]]:
        record = shards.record(index)
        if record.get("task") == "draw" and rng.random() < recipe.unconditional:
            record = without_prompt(record, prompt)
        return as_row(record, recipe.loss_weights)

    return Source(shards.name, shards.lengths, row, share, longest)


def _held_out(recipe: TuneRecipe, processor: Processor, longest: int) -> list[Batch]:
    """Batches of a few rows each, in the order of the shards."""
    if not recipe.held_out:
        return []
    shards = Shards.open(recipe.held_out, processor.vocabulary)
    usable = [index for index, length in enumerate(shards.lengths) if 1 < length <= longest]
    rows = [as_row(shards.record(index), recipe.loss_weights) for index in usable[: recipe.held_out_rows]]
    rows.sort(key=lambda row: len(row.ids))
    return [
        pad_rows(rows[start : start + 8], processor.vocabulary.pad_id) for start in range(0, len(rows), 8)
    ]
