"""The voice that reads held-out texts aloud."""

from __future__ import annotations

import hashlib
import os
from functools import cached_property
from pathlib import Path

import numpy as np

from ar_omni.convert import CACHE_VARIABLE
from ar_omni.media import Audio
from ar_omni.training.world.voices import PIPER_VOICE, piper_voice


class Reader:
    """Reads sentences aloud with Piper's CC0 voice `en_US-joe-medium`, and remembers what it has read.

    Recordings are kept as flac files in `folder`, by default `eval` in the package's cache folder.
    """

    def __init__(self, folder: str | os.PathLike | None = None) -> None:
        cache = Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "ar_omni")
        self._folder = Path(folder or cache / "eval")
        self._folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, text: str) -> Audio:
        """`text` spoken, at Piper's own rate of 22,050 Hz."""
        name = hashlib.sha256(f"{PIPER_VOICE}\n{text}".encode()).hexdigest()[:20]
        path = self._folder / f"{name}.flac"
        if not path.exists():
            chunks = list(self._voice.synthesize(text))
            samples = np.concatenate([chunk.audio_float_array for chunk in chunks])
            Audio(samples, chunks[0].sample_rate).save(path)
        return Audio.load(path)

    @cached_property
    def _voice(self):
        return piper_voice("eval")
