"""Trains nano's decoder on the tokenized world and writes a checkpoint that `AROmni.from_pretrained` loads.

    torchrun --nproc_per_node 2 train/pretrain.py --recipe configs/nano.yaml --work-dir runs/nano

To train the bundled nano further, with the world that it learned from and none of the steps before:

    torchrun --nproc_per_node 2 train/pretrain.py --recipe configs/nano.yaml --work-dir runs/more \
        --world configs/nano --tokenizers ar_omni/assets/nano --init ar_omni/assets/nano \
        --set tokens_per_batch=4096 loop.steps=1000 loop.learning_rate=0.0005
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from transformers import GenerationConfig

from ar_omni.modeling import AROmniForCausalLM
from ar_omni.template import Template
from ar_omni.tokenizers import load_tokenizer
from ar_omni.training.arguments import add_changes, load_recipe, one_line_errors
from ar_omni.training.checkpoints import exported
from ar_omni.training.cuts import cut
from ar_omni.training.data import batches
from ar_omni.training.loop import make_accelerator, train
from ar_omni.training.nano import assemble
from ar_omni.training.objective import Objective, Row
from ar_omni.training.precision import fast_float32
from ar_omni.training.world.tasks import World, letters


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipe", type=Path, default=Path("configs/nano.yaml"))
    parser.add_argument("--layout", type=Path, default=Path("configs/nano"), help="turn template and presets")
    parser.add_argument("--work-dir", type=Path, default=Path("runs/nano"))
    parser.add_argument("--world", type=Path, help="folder of codes.npz and concepts.json (the work folder)")
    parser.add_argument("--tokenizers", type=Path, help="folder of the tokenizers (the work folder)")
    parser.add_argument("--init", type=Path, help="a trained decoder to go on from")
    add_changes(parser)
    args = parser.parse_args()
    recipe = load_recipe(args.recipe, changes=args.set)
    torch.manual_seed(recipe.seed)
    fast_float32()
    accelerator = make_accelerator()
    world = World.load(args.world or args.work_dir, recipe.groups)
    tokenizers = args.tokenizers or args.work_dir
    image, speech = (load_tokenizer(tokenizers / f"{name}_tokenizer") for name in ("image", "speech"))
    model, processor = assemble(recipe.decoder, image, speech, Template.load(args.layout))
    if args.init:
        model = AROmniForCausalLM.from_pretrained(args.init, dtype=torch.float32)
    model.generation_config = GenerationConfig.from_pretrained(args.layout)

    def row(rng, progress: float) -> Row:
        messages, task = world.conversation(rng, progress, recipe.shares)
        unconditional = task == "draw" and rng.random() < recipe.unconditional
        example = processor.encode_example(messages, task, unconditional)
        reading = letters(messages, task, example.input_ids, processor.vocabulary)
        weights = example.loss_weights(recipe.loss_weights)
        weights = cut(example, weights, recipe.cuts.get(task, {}), processor.vocabulary, rng)
        return Row(example.input_ids, weights, reading)

    def save(model, state, step: int) -> None:
        with exported(args.work_dir / "nano") as folder:
            model.save_pretrained(folder, state_dict=state)
            processor.save_pretrained(folder)

    objective = Objective(model, processor.vocabulary, image.embedding, recipe.objective)
    parts = accelerator.num_processes * recipe.loop.accumulation
    tokens, pad_id = recipe.tokens_per_batch // parts, processor.vocabulary.pad_id
    batch_at = batches(row, recipe.loop.steps, tokens, parts, pad_id, recipe.seed)
    train(objective, batch_at, recipe.loop, args.work_dir, accelerator, save, seed=recipe.seed)


if __name__ == "__main__":
    main()
