"""What the published code does around its weights: prompts and decoding defaults, as data."""

from __future__ import annotations

from typing import Any

from ar_omni.template import TaskTemplate, Template

ANSWER_A_VOICE = "Please acknowledge the user's vocal input, create a textual response."


def _single_turn(*pieces: str, reply: str = "GPT:") -> TaskTemplate:
    return TaskTemplate(("<bos>",), ("USER:", *pieces, "<eoh>", reply), "<eos>")


TASKS = {
    "chat": TaskTemplate(
        start=("<bos>",),
        turn=("USER:", "{image}", "{audio}", f"{{text|{ANSWER_A_VOICE}}}", "<eoh>", "GPT:"),
        end="<eom>",
        transcript="spoken",
    ),
    "speak": _single_turn("Convert this text into speech.", "This is input: ", "{text}"),
    "transcribe": _single_turn("Can you please convert this speech into written text?", "{audio}"),
    "draw": _single_turn(
        "Create a picture that matches the essence of this text.", " This is input: ", "{text}", reply=" GPT:"
    ),
    "describe": _single_turn("{image}", "{text|Describe this image.}"),
}
"""Parts are tokenized one by one, so a leading space belongs where the published prompts have one."""


GREEDY, MAX_NEW_TOKENS = {"strategy": "greedy"}, 4096
IMAGE = {"strategy": "sample", "temperature": 1.0, "top_p": 0.96}
SPEECH = GREEDY | {"limit": 2400}
DRAWING = {"image": IMAGE, "guidance_scale": 3.07, "max_new_tokens": MAX_NEW_TOKENS}
READING = {"text": GREEDY, "max_new_tokens": MAX_NEW_TOKENS}
DECODING: dict[str, dict[str, Any]] = {
    "chat": DRAWING
    | {
        "text": {"strategy": "sample", "temperature": 1.2, "top_p": 0.96},
        "transcript": GREEDY | {"limit": 1024},
        "speech": SPEECH,
        "repetition_penalty": 1.2,
        "image_guidance_scale": 1.15,
        "max_segments": 8,
    },
    "speak": {"speech": SPEECH, "max_new_tokens": MAX_NEW_TOKENS},
    "transcribe": READING,
    "draw": DRAWING | {"image_guidance_scale": 1.32},
    "describe": READING | {"repetition_penalty": 1.2},
}
"""The published defaults. The repetition penalty is left out where it did harm: in speech and transcripts."""


def template(codes_per_image: int, untrained_outputs: tuple[str, ...]) -> Template:
    """The published layout of every task."""
    return Template(TASKS, ("<bos>", "{image}"), codes_per_image, codes_per_image, untrained_outputs)
