"""From a request to a turn that only needs decoding: every argument is checked before the first token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from numbers import Integral
from random import SystemRandom
from typing import TYPE_CHECKING, Any

from ar_omni.decoding import Controller, Guidance, Options, Row, Sampler, plan_reply
from ar_omni.decoding import Sequence as Cached
from ar_omni.errors import InputError, UnsupportedOutputError
from ar_omni.messages import Message, check_messages
from ar_omni.processing import Processor
from ar_omni.streaming import Turn

if TYPE_CHECKING:
    from ar_omni.omni import AROmni

OUTPUTS = ("text", "image", "speech")
TASK_OUTPUTS = {
    "speak": ("speech",),
    "transcribe": ("text",),
    "draw": ("image",),
    "describe": ("text",),
}
"""What the single-turn tasks give; other tasks give what is asked for, text by default."""
TASK_OF = {
    (frozenset({"text"}), ("speech",)): "speak",
    (frozenset({"text"}), ("image",)): "draw",
    (frozenset({"image"}), ("text",)): "describe",
}
"""(kinds of parts in the one message, outputs) -> task, where none is named; all else is chat."""


@dataclass(frozen=True)
class Request:
    """The arguments of `AROmni.stream`, which explains them."""

    outputs: str | Sequence[str] | None = None
    task: str | None = None
    max_new_tokens: int | None = None
    seed: int | None = None
    previews: bool = False
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, **kwargs: Any) -> Request:
        """A request from keyword arguments; those that are no fields are overrides."""
        own = {f.name: kwargs.pop(f.name) for f in fields(cls) if f.name in kwargs}
        return cls(**own, overrides=kwargs)


def plan_turn(
    omni: AROmni, messages: Sequence[Message], request: Request, so_far: Cached | None = None
) -> Turn:
    """Check and encode everything about a reply, up to its first token.

    Args:
        omni: the checkpoint.
        messages: the conversation; with `so_far` only what is new in it, one message of the user.
        request: what is asked for.
        so_far: what came before `messages`; the reply's row continues it, but it is not touched yet.

    Raises:
        InputError: a message, medium or argument that cannot be used.
        UnsupportedOutputError: an output that the checkpoint was not trained for.
    """
    processor = omni.processor
    task, outputs = _task_and_outputs(processor, messages, request)
    options = _options(omni.presets.get(task, Options()), request)
    before = [] if so_far is None else so_far.ids
    if so_far is None:
        prompt = processor.encode_messages(messages, task)
    else:
        prompt = processor.encode_turn(messages[-1]["content"], task, first=not before)
    layout = processor.template.tasks[task]
    spoken = any(part["type"] == "audio" for part in messages[-1]["content"])
    plan = plan_reply(outputs, layout.end_name, layout.transcript, spoken)
    budget = _budget(omni.network.context, len(before) + len(prompt), options)
    controller = Controller(processor.vocabulary, plan, options, processor.template.codes_per_image, budget)
    scales = (options.guidance_scale, options.image_guidance_scale)
    branches = processor.encode_unconditional(messages) if "image" in outputs and scales != (1, 1) else []
    seed = SystemRandom().getrandbits(31) if request.seed is None else _checked(request.seed)
    sampler = Sampler(seed, omni.network.device)
    row = Row(Cached([]) if so_far is None else so_far, controller, sampler, Guidance(branches, *scales))
    return Turn(row, prompt, task, seed, request.previews)


def as_messages(prompt: Any) -> list[Message]:
    """A prompt in the form of a conversation."""
    if isinstance(prompt, Sequence) and not isinstance(prompt, str):
        return check_messages(prompt)
    return check_messages([{"role": "user", "content": prompt}])


def _options(preset: Options, request: Request) -> Options:
    limit = {} if request.max_new_tokens is None else {"max_new_tokens": request.max_new_tokens}
    return preset.override(**limit, **request.overrides)


def _checked(seed: Any) -> int:
    if not isinstance(seed, Integral) or not -(2**63) <= seed < 2**64:
        raise InputError(f"expected a seed as an integer of 64 bits, got {seed!r:.30}")
    return seed


def _budget(context: int, size: int, options: Options) -> int:
    """How many ids the reply may have, after a prompt of `size`."""
    if size + 2 > context:
        raise InputError(
            f"expected a prompt of at most {context - 2} ids (this model reads {context}), got {size}; "
            "shorten it, or reset the chat"
        )
    return min(context - size, options.max_new_tokens)


def _task_and_outputs(
    processor: Processor, messages: Sequence[Message], request: Request
) -> tuple[str, tuple[str, ...]]:
    """The task, and the outputs in the order of a reply, checked against each other and the checkpoint."""
    tasks, untrained = processor.template.tasks, processor.template.untrained_outputs
    task, asked = request.task, request.outputs
    if asked is None:
        asked = TASK_OUTPUTS.get(task, ("text",))
    asked = (asked,) if isinstance(asked, str) else tuple(asked)
    if not asked or any(name not in OUTPUTS for name in asked):
        raise InputError(f"expected outputs of {', '.join(OUTPUTS)}, got {asked!r}")
    if task is None:
        kinds = frozenset(part["type"] for message in messages for part in message["content"])
        task = TASK_OF.get((kinds, asked), "chat") if len(messages) == 1 else "chat"
        task = task if task in tasks else "chat"
    if task not in tasks:
        raise InputError(f"expected a task of {', '.join(tasks)}, got {task!r}")
    if set(asked) != set(TASK_OUTPUTS.get(task, asked)):
        raise InputError(
            f"expected outputs {TASK_OUTPUTS[task]} for the task {task!r}, got {asked}; try 'chat'"
        )
    for name in asked:
        if name in untrained:
            raise UnsupportedOutputError(
                f"expected an output that this checkpoint was trained to give, got {name!r}; choose another"
            )
    return task, tuple(name for name in OUTPUTS if name in asked)
