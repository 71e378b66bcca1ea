"""A little world with models that are always right or always wrong in it, and a voice and an ear for them."""

import json
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
from PIL import Image

from ar_omni.decoding import Options
from ar_omni.evaluation.bench import Bench
from ar_omni.evaluation.conversations import KNOWN
from ar_omni.evaluation.heldout import HeldOut, Turn
from ar_omni.evaluation.suites import SUITES
from ar_omni.media import Audio

COLOURS = {"red apple": (200, 20, 30), "pear": (120, 200, 40), "sea": (20, 60, 220)}
STYLES = {"flat": 1.0, "3d": 0.6}
SENTENCES = ["put the small box down", "how are you today"]
LONG = ["we went to the sea, and then we walked home along the road to eat a pear with our friends"]
SEA = "the sea is a very wide body of salt water with waves"
SCRIPTS = [
    [
        Turn("show me a pear", True, "Here is a pear.", "show", drawn=("pear", None)),
        Turn("now in 3d style", False, "here is a pear in 3d style.", "restyle", drawn=("pear", "3d")),
    ],
    [
        Turn("what is this?", False, "this is the sea.", "name", shown=("sea", "flat")),
        Turn("explain the sea", True, SEA, "explain", drawn=("sea", None)),
    ],
]
QUESTIONS = [
    Turn("what is a gorp?", True, "i do not know.", "no word"),
    Turn("a pear, please", False, "here is a pear.", KNOWN, drawn=("pear", None)),
]


def picture(name: str, style: str) -> Image.Image:
    image = Image.new("RGB", (96, 96), "white")
    image.paste(tuple(int(v * STYLES[style]) for v in COLOURS[name]), (20, 20, 76, 76))
    return image


def say(text: str) -> Audio:
    """A "recording" that carries its text, for the fake voice, ear and model."""
    return Audio(np.frombuffer(text.encode(), np.uint8).astype(np.float32) / 256, 24_000)


def hear(audio: Audio) -> str:
    return bytes((audio.samples * 256).astype(np.uint8)).decode()


class Perfect:
    """A model that is always right, in the shape of `AROmni`."""

    presets: ClassVar = {"speak": Options()}
    processor = SimpleNamespace(
        speech_tokenizer=SimpleNamespace(
            codebook_size=256,
            encode=lambda audio: np.frombuffer(hear(audio).encode(), np.uint8),
            decode=lambda codes: say(bytes(codes).decode()),
        ),
        image_tokenizer=SimpleNamespace(
            codebook_size=8,
            encode=lambda image: np.asarray(image),
            decode=lambda codes: Image.fromarray(codes),
        ),
    )

    def generate(self, prompt, outputs, task=None, seed=0):
        if task == "speak":
            return answer(audio=say(prompt))
        if task == "draw":
            name = next(name for name in COLOURS if name in prompt)
            return answer(image=picture(name, next(style for style in STYLES if style in prompt)))
        heard = hear(prompt[0]["content"][0]["audio"])
        name = next(name for name in COLOURS if name in heard)
        text = f"here is the {name}"
        return answer(transcript=heard, text=text, image=picture(name, "flat"), audio=say(text))

    def chat(self):
        turns = {turn.said: turn for script in (*SCRIPTS, QUESTIONS) for turn in script}

        def send(content, outputs, seed):
            heard = hear(content[-1]) if isinstance(content[-1], Audio) else None
            turn = turns[heard or content[-1]]
            assert [image.getpixel((48, 48)) for image in content[:-1]] == [
                picture(*turn.shown).getpixel((48, 48)) for _ in content[:-1]
            ]
            assert len(content) == 1 + (turn.shown is not None)
            drawn = turn.drawn and picture(turn.drawn[0], turn.drawn[1] or "flat")
            return answer(transcript=heard, text=turn.answer.upper(), image=drawn)

        return SimpleNamespace(send=send)

    def transcribe(self, audio):
        return hear(audio)

    def describe(self, image):
        groups = {"red apple": "food and drink", "sea": "travel and places", "pear": "food and drink"}
        pairs = [(name, style) for name in COLOURS for style in STYLES]
        name, style = min(pairs, key=lambda pair: _difference(picture(*pair), image))
        return f"a {name} in {style} style, from {groups[name]}."


def _difference(first: Image.Image, second: Image.Image) -> float:
    """Between the colours in the middle."""
    colours = np.array([image.getpixel((48, 48)) for image in (first, second)], float)
    return float(np.abs(colours[0] - colours[1]).sum())


def answer(text=None, transcript=None, image=None, audio=None, stop_reason="end") -> SimpleNamespace:
    """A reply, in the shape of `Reply`."""
    seconds = audio.duration if audio else 0.0
    stats = SimpleNamespace(audio_s=seconds, rtf=0.5, first_chunk_s=0.25, stop_reason=stop_reason)
    return SimpleNamespace(text=text, transcript=transcript, image=image, audio=audio, stats=stats)


class Wrong(Perfect):
    """A model that is always wrong, and never finishes."""

    def generate(self, prompt, outputs, task=None, seed=0):
        if task == "speak":
            return answer(audio=say("nothing at all like it my friend"), stop_reason="length")
        heard = prompt if task == "draw" else hear(prompt[0]["content"][0]["audio"])
        return answer("no", "no", picture("pear" if "sea" in heard else "sea", "flat"))

    def chat(self):
        return SimpleNamespace(send=lambda content, outputs, seed: answer("no", image=picture("sea", "3d")))

    def transcribe(self, audio):
        return "no"

    def describe(self, image):
        return "a pearl"


def bench(omni, held_out, **options) -> Bench:
    return Bench(omni, held_out, hear, lambda audio: 3.0, say, progress=False, **options)


def figures(omni, suite: str, held_out: HeldOut) -> dict[str, float]:
    found, rows = SUITES[suite](bench(omni, held_out))
    json.dumps(rows)
    return {title: figure.value for title, figure in found.items()}
