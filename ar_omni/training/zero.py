"""DeepSpeed's ZeRO holds a part of every weight in each process, and clips, steps and saves by itself.

The loop is the same; here is what differs. Weights and moments are the engine's: `training_state` has none.
"""

from __future__ import annotations

from pathlib import Path

from accelerate import Accelerator, DistributedType
from torch import Tensor

from ar_omni.errors import InputError
from ar_omni.training.optimization import LoopOptions

TAG = "zero"


def is_zero(accelerator: Accelerator) -> bool:
    """Whether DeepSpeed trains."""
    return accelerator.distributed_type == DistributedType.DEEPSPEED


def set_up_zero(accelerator: Accelerator, options: LoopOptions) -> None:
    """Tells DeepSpeed, before it gets the model, what it needs of the recipe.

    Raises:
        InputError: options that only torch's engines follow.
    """
    asked = {"ema": options.ema > 0, "muon": options.optimizer == "muon", "compile": options.compile}
    wrong = [name for name, used in asked.items() if used]
    if wrong:
        raise InputError(
            f"expected a recipe without {' and '.join(wrong)} for deepspeed, which keeps the weights to "
            "itself; use configs/accelerate/fsdp2.yaml"
        )
    # the loop has its own batches and adds them up itself: to DeepSpeed each is one row, and one step
    accelerator.state.deepspeed_plugin.deepspeed_config |= {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": options.clip,
    }


def zero_backward(accelerator: Accelerator, loss: Tensor, last: bool) -> None:
    """Adds to the gradients, and takes the step with the last batch's."""
    accelerator.deepspeed_engine_wrapped.backward(loss, sync_gradients=last)


def save_zero(accelerator: Accelerator, folder: Path) -> None:
    """Writes every process's part of weights and moments."""
    accelerator.deepspeed_engine_wrapped.engine.save_checkpoint(str(folder), tag=TAG, save_latest=False)


def load_zero(accelerator: Accelerator, folder: Path) -> None:
    """Reads what `save_zero` wrote; as many processes as then."""
    found, _ = accelerator.deepspeed_engine_wrapped.engine.load_checkpoint(str(folder), tag=TAG)
    if found is None:
        raise FileNotFoundError(f"no DeepSpeed checkpoint in {folder}")
