"""A tiny training as a program of its own, for tests: tiny_run.py FOLDER PARTS [STEP THAT KILLS [ENGINE]]."""

import os
import random
import signal
import sys
from pathlib import Path

import torch
from accelerate import (
    Accelerator,
    DeepSpeedPlugin,
    DistributedType,
    FullyShardedDataParallelPlugin,
    ParallelismConfig,
    PartialState,
)
from accelerate.utils import InitProcessGroupKwargs
from torch.distributed.tensor import DTensor, Partial, Shard
from torch.nn import functional

from ar_omni.configuration import AROmniConfig
from ar_omni.modeling import AROmniForCausalLM
from ar_omni.training.context import readers
from ar_omni.training.data import batches
from ar_omni.training.loop import make_accelerator, train
from ar_omni.training.objective import Objective, ObjectiveOptions, Row
from ar_omni.training.optimization import LoopOptions
from ar_omni.vocabulary import Vocabulary

STEPS = 8


def fsdp2() -> Accelerator:
    """On a CPU accelerate takes a wish for FSDP as one for DDP; its own code shards there as well."""
    accelerator = make_accelerator(mixed=False)
    for state in (PartialState(), accelerator.state):  # the one is copied into the other now and then
        state.distributed_type = DistributedType.FSDP
    accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2, auto_wrap_policy="transformer_based_wrap"
    )
    return accelerator


def context() -> Accelerator:
    """FSDP2 whose two processes read one batch together; torch's ring attention has no kernels for a CPU."""
    accelerator = fsdp2()
    accelerator.state.parallelism_config = ParallelismConfig(cp_size=2)
    accelerator.state.device_mesh = accelerator.parallelism_config.get_device_mesh("cpu")
    functional.scaled_dot_product_attention = gathered_attention
    return accelerator


def gathered_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, scale=None, is_causal=False, **options
):
    """Causal attention of this process's queries to the keys of all; without DTensors, torch's own."""
    if not isinstance(query, DTensor):
        return SDPA(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, **options)
    assert is_causal and attn_mask is None
    length, mesh = key.shape[2], key.device_mesh
    pieces = torch.arange(length).chunk(4)
    order = torch.cat([pieces[0], pieces[3], pieces[1], pieces[2]])  # as torch cuts a row for two
    own = order.chunk(2)[mesh.get_local_rank()]
    key, value = (whole.full_tensor(grad_placements=[Partial()]) for whole in (key, value))
    mask = order[None, :] <= own[:, None]
    attended = SDPA(query.to_local(), key, value, mask, dropout_p, scale=scale, **options)
    return DTensor.from_local(attended, mesh, [Shard(2)])


SDPA = functional.scaled_dot_product_attention
gathered_attention.__name__ = SDPA.__name__  # torch wraps by this name what it finds


def zero3() -> Accelerator:
    """DeepSpeed over gloo, as it runs on a CPU."""
    plugin = DeepSpeedPlugin(zero_stage=3, zero3_save_16bit_model=True, zero3_init_flag=False)
    return Accelerator(
        mixed_precision="no",
        deepspeed_plugin=plugin,
        kwargs_handlers=[InitProcessGroupKwargs(backend="gloo")],
    )


def plain() -> Accelerator:
    return make_accelerator(mixed=False)


ENGINES = {
    "plain": (plain, 0.9),
    "fsdp2": (fsdp2, 0.9),
    "context": (context, 0.9),
    "zero3": (zero3, 0.0),
    "not averaged": (plain, 0.0),
}
"""Name -> how to make it, in float32 so that sums do not depend on shapes; and the decay of the average."""


def main(folder: Path, parts: int, deadly: int = -1, engine: str = "plain") -> None:
    make, ema = ENGINES[engine]
    accelerator = make()
    torch.manual_seed(0)
    vocabulary = Vocabulary.nano(24, 16, 32)
    config = AROmniConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        image_embedding_dim=8,
        attention_dropout=0.1 if parts == 1 else 0.0,
        vocabulary=vocabulary.to_dict(),
    )
    embedding = torch.ones(len(vocabulary.image), 8)
    objective = Objective(AROmniForCausalLM(config), vocabulary, embedding, ObjectiveOptions(0.01, 0.01))

    def row(rng: random.Random, progress: float) -> Row:
        ids = [rng.randrange(16, vocabulary.size) for _ in range(rng.randint(3, 30))]
        return Row(ids, [rng.choice((0.0, 1.0, 2.0)) for _ in ids])

    draws = batches(row, STEPS, 64, parts, vocabulary.pad_id)

    def batch_at(step: int, part: int) -> dict[str, torch.Tensor]:
        if step == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return draws(step, part)

    options = LoopOptions(
        steps=STEPS,
        learning_rate=1e-2,
        warmup=2,
        accumulation=parts // readers(accelerator),
        ema=ema,
        save_every=3,
    )
    held_out = [draws(step, 0) for step in range(3)]

    def keep(model, state, step: int) -> None:
        if step == STEPS:
            torch.save(state or model.state_dict(), folder / "weights.pt")

    train(objective, batch_at, options, folder, accelerator, keep, held_out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:4]), *sys.argv[4:])
