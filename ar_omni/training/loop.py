"""One accelerate loop for every stage: batches by step number, steps, checkpoints that resume exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedType
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from tqdm import tqdm

from ar_omni.errors import AROmniError
from ar_omni.training.checkpoints import Checkpoints, trainable, training_state
from ar_omni.training.context import group_size, reader, readers, spread
from ar_omni.training.data import Batch, ahead
from ar_omni.training.logs import Averages, Log, means
from ar_omni.training.objective import Objective
from ar_omni.training.optimization import AveragedWeights, LoopOptions, make_optimizers
from ar_omni.training.precision import has_fast_bfloat16
from ar_omni.training.zero import is_zero, set_up_zero, zero_backward

OnSave = Callable[[nn.Module, Mapping[str, Tensor] | None, int], None]
"""Called on the main process with the model, its whole state dict where the model's own holds only a part of
it (else None), and the step."""


def make_accelerator(mixed: bool = True) -> Accelerator:
    """The processes that train, with whatever `accelerate launch` was told.

    Args:
        mixed: multiply matrices in bfloat16 where the machine has instructions for it; weights, sums and
            losses stay float32.
    """
    cuda = torch.cuda.is_available()
    torch.backends.cuda.enable_cudnn_sdp(False)  # it plans each new shape for as long as a step takes
    half = mixed and has_fast_bfloat16("cuda" if cuda else "cpu")
    return Accelerator(cpu=not cuda, mixed_precision="bf16" if half else "no")


def train(
    objective: Objective,
    batch_at: Callable[[int, int], Batch],
    options: LoopOptions,
    folder: Path,
    accelerator: Accelerator,
    on_save: OnSave = lambda model, state, step: None,
    held_out: Sequence[Batch] = (),
    seed: int = 0,
) -> None:
    """Runs to `options.steps`, from the newest checkpoint under `folder` if there is one.

    Everything random in a step follows from its number, so resuming needs no reader's or generator's state.
    Sums of the loss are divided by counts over all processes and batches of a step: two processes, or two
    batches after each other, take the step that one process takes with the whole.

    Args:
        objective: the model and its loss.
        batch_at: `(step, part) -> batch` for `processes * options.accumulation` parts a step; it must depend
            on its arguments alone.
        options: the optimizer's settings, and when to save.
        folder: of the run: `checkpoints/`, `log.jsonl` and, if asked for, `tensorboard/`.
        accelerator: the processes that train together.
        on_save: exports the model.
        held_out: batches whose loss is logged at each save, under the averaged weights if there are some.
        seed: of dropout.

    Raises:
        AROmniError: a loss or gradient that is not finite, or a checkpoint that could not be written; what
            was saved before is still there.
    """
    if options.activation_checkpointing:
        objective.model.gradient_checkpointing_enable({"use_reentrant": False})
    if options.compile:
        _compile(objective.model, accelerator.device)
    if is_zero(accelerator):
        set_up_zero(accelerator, options)
    optimizers = make_optimizers(objective, options)
    wrapped, *prepared = accelerator.prepare(objective, *optimizers)
    parameters = {} if is_zero(accelerator) else trainable(accelerator.unwrap_model(wrapped))
    average = AveragedWeights(parameters, options.ema)
    checkpoints = Checkpoints(folder, options.keep, accelerator)
    with torch.no_grad():
        start = checkpoints.restore(training_state(parameters, optimizers, average))
    bar = tqdm(
        range(start, options.steps),
        initial=start,
        total=options.steps,
        mininterval=10,
        disable=not accelerator.is_main_process,
    )
    averages, log = Averages(), None
    first = reader(accelerator) * options.accumulation
    parts = range(first, first + options.accumulation)
    made = ahead(batch_at, range(start, options.steps), parts, options.workers)
    for step, batches in zip(bar, made, strict=True):
        wrapped.train()
        _seed(seed, step, accelerator)
        rate = options.learning_rate * options.rate(step)
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = rate * group["share"]
        sums = _backward(wrapped, objective, batches, accelerator)
        norm = accelerator.clip_grad_norm_(wrapped.parameters(), options.clip)
        _check_finite(step, sums["ntp"], norm, checkpoints)
        for optimizer in prepared:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        average.update()
        averages.add(sums)
        if step % 10 == 0:
            bar.set_postfix(averages.values(), refresh=False)
        if (step + 1) % options.save_every and step + 1 != options.steps:
            continue
        checkpoints.save(step + 1, training_state(parameters, optimizers, average))
        with average.applied():
            wrapped.eval()
            figures = averages.values() | {"learning_rate": rate, "gradient_norm": float(norm)}
            figures |= evaluate(wrapped, objective, held_out, accelerator)
            state = _whole_state(wrapped, accelerator)
            if accelerator.is_main_process:
                log = log or Log(folder, options.tensorboard)
                log.record(step + 1, figures)
                on_save(objective.model, state, step + 1)
        accelerator.wait_for_everyone()
    wrapped.eval()


def _compile(model: nn.Module, device: torch.device) -> None:
    """The whole decoder on a CPU, which fuses eager attention best. A layer at a time on a GPU: one is
    compiled for all, in 20 seconds; the whole took more than two minutes."""
    if device.type == "cpu":
        model.set_attn_implementation("eager")
        model.model.compile(dynamic=True)
        return
    for layer in model.model.layers:
        layer.compile(dynamic=True)


@torch.no_grad()
def evaluate(
    wrapped: nn.Module, objective: Objective, batches: Sequence[Batch], accelerator: Accelerator
) -> dict[str, float]:
    """The mean losses over `batches`, which the processes share among themselves, as `held_out_...`."""
    if not batches:
        return {}
    # every process takes equally many, as sharded engines need; those beyond the end weigh nothing
    rounds = -(-len(batches) // readers(accelerator))
    places = [turn * readers(accelerator) + reader(accelerator) for turn in range(rounds)]
    own = [batches[min(place, len(batches) - 1)] for place in places]
    weights = [float(place < len(batches)) for place in places]
    seen = []
    for batch, weight in zip(own, weights, strict=True):
        with spread(accelerator, objective, _on(batch, accelerator)) as part:
            seen.append({name: value * weight for name, value in wrapped(**part).items()})
    if isinstance(wrapped, FSDPModule):
        wrapped.reshard()  # without a backward, weights outside the layers would stay gathered, and averaged
    sums = accelerator.reduce(_added(seen), reduction="sum")
    return {f"held_out_{name}": value for name, value in means(_floats(sums)).items()}


def _backward(
    wrapped: nn.Module, objective: Objective, batches: list[Batch], accelerator: Accelerator
) -> dict[str, float]:
    """Adds up the gradients of a step; the sums of its losses and counts over all processes."""
    batches = [_on(batch, accelerator) for batch in batches]
    counts = accelerator.reduce(_added(map(objective.counts, batches)), reduction="sum")
    counts = {name: value / group_size(accelerator) for name, value in counts.items()}
    seen = []
    for index, batch in enumerate(batches):
        last = index == len(batches) - 1
        within = nullcontext() if last else accelerator.no_sync(wrapped)
        with within, spread(accelerator, objective, batch) as part:
            sums = wrapped(**part)
            # gradients are averaged over processes
            loss = objective.total(sums, counts) * accelerator.num_processes
            if is_zero(accelerator):
                zero_backward(accelerator, loss, last)
            else:
                accelerator.backward(loss)
        seen.append({name: value.detach() for name, value in sums.items()})
    return _floats(accelerator.reduce(_added(seen), reduction="sum"))


def _seed(seed: int, step: int, accelerator: Accelerator) -> None:
    torch.manual_seed((seed << 40) + step * accelerator.num_processes + accelerator.process_index)


def _check_finite(step: int, loss: float, norm: Tensor, checkpoints: Checkpoints) -> None:
    if math.isfinite(loss) and math.isfinite(float(norm)):
        return
    saved = checkpoints.saved()
    raise AROmniError(
        f"expected finite losses and gradients, got the loss {loss} and the gradient norm {norm} at step "
        f"{step}; {saved[-1] if saved else 'no checkpoint'} is unharmed: lower learning_rate, and start again"
    )


def _whole_state(wrapped: nn.Module, accelerator: Accelerator) -> dict[str, Tensor] | None:
    """The model's state dict, gathered from processes that hold a part of it each; None where each has it."""
    if accelerator.distributed_type not in (DistributedType.FSDP, DistributedType.DEEPSPEED):
        return None
    state = accelerator.get_state_dict(wrapped) or {}  # whole on the main process only
    return {name.removeprefix("model."): value for name, value in state.items()}


def _on(batch: Batch, accelerator: Accelerator) -> Batch:
    return {name: value.to(accelerator.device) for name, value in batch.items()}


def _added(parts: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    first, *others = parts
    return {name: sum((part[name] for part in others), value) for name, value in first.items()}


def _floats(values: Mapping[str, Tensor]) -> dict[str, float]:
    """All in one transfer: a GPU is waited for once."""
    return dict(zip(values, torch.stack([value.float() for value in values.values()]).tolist(), strict=True))
