"""Trains all weights of a checkpoint on token shards and writes a checkpoint: pretraining at scale, or SFT.

    accelerate launch --config_file configs/accelerate/ddp.yaml train/finetune.py \
        --recipe configs/paper_sft.yaml --work-dir runs/sft

On a CPU: `torchrun --nproc_per_node 2 train/finetune.py ...`, or plain python for one process. Started again,
it goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ar_omni.checkpoint import find_checkpoint
from ar_omni.decoding import load_presets, save_presets
from ar_omni.evaluation.samples import write_samples
from ar_omni.manifest import write_manifest
from ar_omni.omni import AROmni
from ar_omni.processing import Processor
from ar_omni.training.arguments import TuneRecipe, add_changes, load_recipe, one_line_errors
from ar_omni.training.checkpoints import exported
from ar_omni.training.loop import make_accelerator
from ar_omni.training.precision import fast_float32
from ar_omni.training.tuning import load_model, tune


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--work-dir", type=Path, required=True)
    add_changes(parser)
    args = parser.parse_args()
    recipe = load_recipe(args.recipe, TuneRecipe, args.set)
    torch.manual_seed(recipe.seed)
    fast_float32()
    base = find_checkpoint(recipe.model)
    processor = Processor.from_pretrained(base)
    model = load_model(base, processor, recipe)

    presets, target = load_presets(base), args.work_dir / "model"

    def save(model, state, step: int) -> None:
        with exported(target) as folder:
            model.save_pretrained(folder, state_dict=state)
            processor.save_pretrained(folder)
            save_presets(folder, presets)
            write_manifest(folder)
        if state is None:  # the weights are whole in this process
            omni = AROmni.from_model(model, processor, presets)
            write_samples(omni, recipe.samples, args.work_dir / "samples" / f"{step:08d}", recipe.seed)

    tune(model, processor, recipe, args.work_dir, make_accelerator(), save)


if __name__ == "__main__":
    main()
