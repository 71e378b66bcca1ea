"""The probes: who knows every answer gets full marks, and the losses are those of the right replies."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from ar_omni.decoding import Options
from ar_omni.evaluation.judges import character_errors
from ar_omni.evaluation.probes import probe
from ar_omni.omni import AROmni
from ar_omni.training.world.phrases import caption
from ar_omni.training.world.pictures import STYLES, Concept, is_held_out_pair
from ar_omni.training.world.tasks import World

CONCEPTS = tuple(Concept(f"thing {c}", "0", "objects", (), "is a thing", i) for i, c in enumerate("abcd"))
SPOKEN = [("hello there", np.arange(20)), ("the fox", np.arange(12))]


@pytest.fixture
def world(processor):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 16, (len(CONCEPTS), len(STYLES), processor.template.codes_per_image))
    return World(CONCEPTS, pictures, {}, {})


def test_wrong_characters_are_at_most_all():
    assert character_errors("The fox.", "the box") == (1, 7)
    assert character_errors("ab", "something else") == (2, 2)


def test_full_marks_for_who_knows_the_answers(world, omni):
    """The replies come from a table; the losses, from the random model."""
    decode = omni.processor.image_tokenizer.decode
    asked = []

    def generate(prompts, task, seed):
        asked.append((task, len(prompts)))
        return [answer(prompt[0]["content"][0], task) for prompt in prompts]

    def answer(part, task):
        if task == "draw":
            name, _, style = part["text"].removeprefix("a ").partition(" in ")
            index = [concept.name for concept in CONCEPTS].index(name)
            return SimpleNamespace(image=decode(world.pictures[index, STYLES.index(style.split()[0])]))
        if task == "describe":
            place = next(
                place
                for place in np.ndindex(world.pictures.shape[:2])
                if decode(world.pictures[place]).tobytes() == part["image"].tobytes()
            )
            return SimpleNamespace(text=caption(CONCEPTS[place[0]], STYLES[place[1]]))
        return SimpleNamespace(
            transcript=next(text for text, codes in SPOKEN if len(codes) == len(part["codes"]))
        )

    knowing = SimpleNamespace(generate=generate, processor=omni.processor, model=omni.model)
    found = probe(knowing, world, SPOKEN)
    assert (found["drawn"], found["named"], found["misheard"]) == (100.0, 100.0, 0.0)
    assert asked == [("draw", 4), ("describe", 4), ("transcribe", 2)]
    blank = SimpleNamespace(image=Image.new("RGB", (24, 24)), text="no", transcript="")
    ignorant = SimpleNamespace(
        generate=lambda prompts, task, seed: [blank] * len(prompts),
        processor=omni.processor,
        model=omni.model,
    )
    found = probe(ignorant, world, SPOKEN, limit=2)
    assert found["drawn"] <= 50 and (found["named"], found["misheard"]) == (0.0, 100.0)


def test_losses_are_those_of_the_reply_alone(world, make_model, processor):
    omni = AROmni.from_model(make_model(), processor, {task: Options() for task in processor.template.tasks})
    found = probe(omni, world, SPOKEN[:1], limit=1)
    talk = [
        {"role": "user", "content": "hello there"},
        {"role": "assistant", "content": [{"type": "audio", "codes": range(20)}]},
    ]
    ids = torch.tensor(processor.encode_example(talk, "speak").input_ids)[None]
    reply = len(processor.encode_messages(talk[:1], "speak"))
    logits = omni.model(input_ids=ids).logits[0, reply - 1 : -1]
    expected = functional.cross_entropy(logits, ids[0, reply:])
    assert found["speak loss"] == pytest.approx(float(expected), rel=1e-4)
    right = (logits.argmax(-1) == ids[0, reply:]).float().mean()
    assert found["speak accuracy"] == pytest.approx(100 * float(right))
    assert ("draw new pair loss" in found) == any(
        is_held_out_pair(concept.name, style) for concept in CONCEPTS for style in STYLES
    )
