"""Trains a LoRA adapter on token shards and writes the adapter alone; `omni.adapters.load(folder)` uses it.

    python train/lora.py --recipe configs/lora.yaml --work-dir runs/lora

Several processes: `torchrun --nproc_per_node 2`, or on GPUs `accelerate launch` with a file of
configs/accelerate. Started again, it goes on. `--merge` also writes a whole checkpoint with the adapter in
its weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ar_omni.checkpoint import find_checkpoint
from ar_omni.decoding import load_presets
from ar_omni.evaluation.samples import write_samples
from ar_omni.omni import AROmni
from ar_omni.processing import Processor
from ar_omni.training.arguments import TuneRecipe, add_changes, load_recipe, one_line_errors
from ar_omni.training.checkpoints import exported
from ar_omni.training.loop import make_accelerator
from ar_omni.training.lora import add_adapter, trainable_share
from ar_omni.training.precision import fast_float32
from ar_omni.training.tuning import load_model, tune


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipe", type=Path, default=Path("configs/lora.yaml"))
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--merge", action="store_true", help="at the end, write work-dir/merged as well")
    add_changes(parser)
    args = parser.parse_args()
    recipe = load_recipe(args.recipe, TuneRecipe, args.set)
    torch.manual_seed(recipe.seed)
    fast_float32()
    base = find_checkpoint(recipe.model)
    processor, presets = Processor.from_pretrained(base), load_presets(base)
    adapted = add_adapter(load_model(base, processor, recipe), recipe.lora)
    accelerator = make_accelerator()
    accelerator.print(trainable_share(adapted))

    def save(model, state, step: int) -> None:
        named = state and {f"base_model.model.{name}": value for name, value in state.items()}
        with exported(args.work_dir / "adapter") as folder:
            adapted.save_pretrained(folder, state_dict=named, save_embedding_layers=False)
        if state is None:  # the weights are whole in this process
            omni = AROmni.from_model(adapted, processor, presets)
            write_samples(omni, recipe.samples, args.work_dir / "samples" / f"{step:08d}", recipe.seed)

    tune(adapted.get_base_model(), processor, recipe, args.work_dir, accelerator, save)
    if args.merge and accelerator.is_main_process:
        omni = AROmni.from_pretrained(base, dtype="float32")
        omni.adapters.load(args.work_dir / "adapter")
        omni.adapters.merge()
        omni.save_pretrained(args.work_dir / "merged")


if __name__ == "__main__":
    main()
