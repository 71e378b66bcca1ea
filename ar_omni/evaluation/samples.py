"""Replies to a few prompts as files, to look at and listen to while a model trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ar_omni.errors import InputError
from ar_omni.media import save_image
from ar_omni.omni import AROmni

KINDS = ("text", "image", "audio")


def write_samples(omni: AROmni, samples: Sequence[Mapping[str, str]], folder: Path, seed: int = 0) -> None:
    """Replies to each sample; `00.txt`, `00.png` and `00.wav` are the parts of the first reply, and so on.

    Args:
        omni: the model.
        samples: each with `task` and any of `text`, `image` and `audio` (paths).
        folder: where the files go; it is made.
        seed: of everything that is sampled.

    Raises:
        InputError: a sample with another key, or nothing to reply to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(samples):
        unknown = set(sample) - {"task", *KINDS}
        parts: list[dict[str, Any]] = [{"type": kind, kind: sample[kind]} for kind in KINDS if kind in sample]
        if unknown or not parts:
            raise InputError(f"expected samples of task and {', '.join(KINDS)}, got {dict(sample)}")
        reply = omni.generate([{"role": "user", "content": parts}], task=sample.get("task"), seed=seed)
        stem = folder / f"{number:02d}"
        words = "\n".join(filter(None, (reply.transcript, reply.text)))
        if words:
            stem.with_suffix(".txt").write_text(words + "\n", encoding="utf-8")
        if reply.image is not None:
            save_image(reply.image, stem.with_suffix(".png"))
        if reply.audio is not None:
            reply.audio.save(stem.with_suffix(".wav"))
