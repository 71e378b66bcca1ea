"""What the published code does around its weights: prompts and decoding defaults, as data for a checkpoint."""

from __future__ import annotations

from ar_omni.template import TaskTemplate, Template

ANSWER_A_VOICE = "Please acknowledge the user's vocal input, create a textual response."


def _single_turn(*pieces: str, reply: str = "GPT:") -> TaskTemplate:
    return TaskTemplate(("<bos>",), ("USER:", *pieces, "<eoh>", reply), "<eos>")


TASKS = {
    "chat": TaskTemplate(
        start=("<bos>",),
        turn=("USER:", "{image}", "{audio}", f"{{text|{ANSWER_A_VOICE}}}", "<eoh>", "GPT:"),
        end="<eom>",
    ),
    "speak": _single_turn("Convert this text into speech.", "This is input: ", "{text}"),
    "transcribe": _single_turn("Can you please convert this speech into written text?", "{audio}"),
    "draw": _single_turn(
        "Create a picture that matches the essence of this text.", " This is input: ", "{text}", reply=" GPT:"
    ),
    "describe": _single_turn("{image}", "{text|Describe this image.}"),
}
"""Parts are tokenized one by one, so a leading space belongs where the published prompts have one."""


def template(codes_per_image: int, untrained_outputs: tuple[str, ...]) -> Template:
    """The published layout of every task."""
    return Template(TASKS, ("<bos>", "{image}"), codes_per_image, untrained_outputs)
