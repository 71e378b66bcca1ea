"""Records other voices for the evaluation set: four synthetic ones, and a person.

    python train/held_out_clips.py --out ar_omni/assets/eval

Needs Debian's flite and espeak-ng, and asterisk-core-sounds-en-wav with its documentation: Allison Smith's
recordings under CC-BY-SA 3.0. What it wrote is part of the package; only a new choice needs it again.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ar_omni.evaluation.heldout import PERSON, Clip, save_clips
from ar_omni.media import Audio
from ar_omni.training.world.sentences import sentences
from ar_omni.training.world.voices import MAIN_VOICE, SAMPLE_RATE, VOICES

SOUNDS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
TRANSCRIPTS = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
EACH, PEOPLE = 20, 60
RATE = 16_000
_SENTENCE = re.compile(r"[A-Z][A-Za-z' ,]+[.!?]?")
_JARGON = re.compile(r"asterisk|pbx|circuits|parking|pin\b|speed dial|muted|locked|participant|[A-Z] [A-Z]\b")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("ar_omni/assets/eval"))
    args = parser.parse_args()
    save_clips(args.out, [*synthetic(), *itertools.islice(human(), PEOPLE)])


def synthetic() -> Iterator[Clip]:
    """Each voice that nano does not speak with reads held-out sentences of its own."""
    everyday = (text for text in sentences(seed=5, held_out=True) if len(text.split()) >= 5)
    for voice, speaker in VOICES.items():
        if voice != MAIN_VOICE:
            for text in itertools.islice(everyday, EACH):
                samples = speaker().say(text).samples.astype(np.float32) / 32768
                yield Clip(voice, text, Audio(samples, SAMPLE_RATE).resample(RATE))


def human() -> Iterator[Clip]:
    """Allison Smith says plain sentences of 3 to 10 words, each once."""
    said = set()
    for line in gzip.decompress(TRANSCRIPTS.read_bytes()).decode().splitlines():
        name, _, text = line.partition(": ")
        words = tuple(re.findall(r"[a-z']+", text.lower()))
        plain = _SENTENCE.fullmatch(text) and not _JARGON.search(text) and 3 <= len(words) <= 10
        if plain and words not in said and (SOUNDS / f"{name}.wav").is_file():
            said.add(words)
            yield Clip(PERSON, text, Audio.load(SOUNDS / f"{name}.wav"))


if __name__ == "__main__":
    main()
