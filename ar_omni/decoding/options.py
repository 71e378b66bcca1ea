"""How to choose among the legal ids, for each task and state; kept in `generation_config.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from math import isfinite
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any

from ar_omni.errors import CheckpointError, InputError
from ar_omni.media import replacing

PRESETS_NAME = "generation_config.json"
STRATEGIES = ("greedy", "sample")


@dataclass(frozen=True)
class StateOptions:
    """How one state of the grammar chooses.

    Attributes:
        strategy: `"greedy"` takes the likeliest id, `"sample"` draws one.
        temperature: above 0; below 1 sharpens.
        top_p: in (0, 1]; draw from the likeliest ids that hold this much probability.
        top_k: draw from this many likeliest ids; 0 means all.
        limit: most tokens of one segment, which is then closed; 0: no limit (pictures have a fixed length).
    """

    strategy: str = "greedy"
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    limit: int = 0

    def __post_init__(self) -> None:
        _check_numbers(self)
        _check(self.strategy in STRATEGIES, "strategy", "'greedy' or 'sample'", self.strategy)
        _check(
            self.temperature > 0,
            "temperature",
            "a number above 0 (for none: strategy='greedy')",
            self.temperature,
        )
        _check(0 < self.top_p <= 1, "top_p", "a number in (0, 1]", self.top_p)
        _check(self.top_k >= 0, "top_k", "an integer of 0 or more", self.top_k)
        _check(self.limit >= 0, "limit", "an integer of 0 or more", self.limit)


@dataclass(frozen=True)
class Options:
    """How a task is decoded.

    Attributes:
        text: the TEXT state; likewise `transcript`, `image` and `speech`.
        repetition_penalty: 1 or more; divides the odds of text that this reply already used. TEXT only.
        guidance_scale: classifier-free guidance towards the prompt, in pictures only; 1 is none.
        image_guidance_scale: guidance towards the prompt's pictures, where there are some.
        min_text_tokens: how much text a reply with text has before it may open a medium or end.
        max_new_tokens: most ids of a reply, control ids included.
        max_segments: how often each medium may come in one reply that also holds text.
        speech_repetition_limit: speech is closed once this many codes in a row repeat with a short period
            (a model that is stuck); 0 never.
    """

    text: StateOptions = field(default_factory=StateOptions)
    transcript: StateOptions = field(default_factory=StateOptions)
    image: StateOptions = field(default_factory=StateOptions)
    speech: StateOptions = field(default_factory=StateOptions)
    repetition_penalty: float = 1.0
    guidance_scale: float = 1.0
    image_guidance_scale: float = 1.0
    min_text_tokens: int = 0
    max_new_tokens: int = 2048
    max_segments: int = 1
    speech_repetition_limit: int = 60

    def __post_init__(self) -> None:
        _check_numbers(self)
        _check(
            self.repetition_penalty >= 1,
            "repetition_penalty",
            "a number of 1 or more",
            self.repetition_penalty,
        )
        _check(self.min_text_tokens >= 0, "min_text_tokens", "an integer of 0 or more", self.min_text_tokens)
        _check(self.max_new_tokens >= 1, "max_new_tokens", "an integer of 1 or more", self.max_new_tokens)
        _check(self.max_segments >= 1, "max_segments", "an integer of 1 or more", self.max_segments)
        limit = self.speech_repetition_limit
        _check(limit >= 0, "speech_repetition_limit", "an integer of 0 or more", limit)

    def override(self, **changes: Any) -> Options:
        """These options with some changed.

        Args:
            changes: fields of `Options`; a state's may be a dict of its changes. `strategy` applies to all
                states, `temperature`, `top_p` and `top_k` to those that sample.

        Raises:
            InputError: an unknown name or a value out of range.
        """
        shared = {name: changes.pop(name) for name in SHARED if name in changes}
        _check_names(changes, [f.name for f in fields(self)] + list(SHARED))
        states = {name: getattr(self, name) for name in STATES}
        if "strategy" in shared:
            states = {name: replace(s, strategy=shared["strategy"]) for name, s in states.items()}
        shaping = {name: value for name, value in shared.items() if name != "strategy"}
        for name, state in states.items():
            own = changes.pop(name, {})
            own = asdict(own) if isinstance(own, StateOptions) else own
            if not isinstance(own, Mapping):
                raise InputError(f"expected {name} as a dict of options, got {own!r}")
            _check_names(own, [f.name for f in fields(state)])
            state = replace(state, **own)
            states[name] = replace(state, **shaping) if state.strategy == "sample" else state
        return replace(self, **states, **changes)


STATES = ("text", "transcript", "image", "speech")
SHARED = ("strategy", "temperature", "top_p", "top_k")


def load_presets(folder: str | PathLike) -> dict[str, Options]:
    """Task -> options, from a checkpoint; without a file or an entry, `Options()` applies.

    Raises:
        CheckpointError: a file that holds no valid presets.
    """
    path = Path(folder) / PRESETS_NAME
    if not path.is_file():
        return {}
    try:
        presets = json.loads(path.read_text(encoding="utf-8")).get("presets", {})
        return {task: Options().override(**values) for task, values in presets.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"expected presets in {path}, got {error}") from error


def save_presets(folder: str | PathLike, presets: Mapping[str, Options]) -> None:
    """Write the presets into a checkpoint's `generation_config.json`, beside what else it holds."""
    path = Path(folder) / PRESETS_NAME
    values = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    values["presets"] = {task: asdict(options) for task, options in presets.items()}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _check(good: Any, name: str, expected: str, got: Any) -> None:
    if not good:
        raise InputError(f"expected {name} to be {expected}, got {got!r}")


def _check_numbers(options: StateOptions | Options) -> None:
    """Presets and requests come as json, where anything may stand for a number."""
    for f in fields(options):
        if isinstance(f.default, int | float):
            kind, name = (Integral, "an integer") if isinstance(f.default, int) else (Real, "a finite number")
            value = getattr(options, f.name)
            _check(isinstance(value, kind) and isfinite(value), f.name, name, value)


def _check_names(given: Mapping[str, Any], known: list[str]) -> None:
    for name in given:
        if name not in known:
            raise InputError(f"expected an option of {', '.join(known)}, got {name!r}")
