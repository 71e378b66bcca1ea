"""What a decoder that is not done has learned: figures that move early, on replies to its own codes.

Word error rates tell nothing as long as all of them are near 100 %. How probable the right replies are moves
with every step; so do, a little later, the letters of what is written down and the things that are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ar_omni.evaluation.heldout import Gallery
from ar_omni.evaluation.judges import character_errors, named, nearest, thumbnail
from ar_omni.training.logs import means
from ar_omni.training.objective import Objective, ObjectiveOptions, Row, pad_rows
from ar_omni.training.world.phrases import caption, styled
from ar_omni.training.world.pictures import STYLES, is_held_out_pair

if TYPE_CHECKING:
    from ar_omni.omni import AROmni
    from ar_omni.streaming import Reply
    from ar_omni.training.world.tasks import World

BATCH = 16
TILE = 32
"""Side of what drawings are compared by, in pixels."""
Talk = list[dict]
"""A question of the user, and the right reply."""
Spoken = tuple[str, np.ndarray]
"""A text and its codes."""


def probe(omni: AROmni, world: World, spoken: Sequence[Spoken], limit: int | None = None) -> dict[str, float]:
    """Asks for every task, and compares replies and their probabilities with the right ones.

    Args:
        omni: the model, its presets included.
        world: whose things it has learned.
        spoken: sentences that it has not learned, in lower case.
        limit: at most this many sentences, things and pairs.

    Returns:
        `drawn`, `named` and `misheard` in %: things that are drawn more like themselves than like any other,
        that are named rightly, and wrong characters of transcripts; and by task `... loss`, in nats an id of
        the reply, all ids weighing the same, and `... accuracy`, the share in % of ids that were the most
        probable. `draw new pair` and `describe new pair` are of known things in a style that was held out.
    """
    spoken, pairs = spoken[:limit], _pairs(world, new=False)[:limit]
    talks = {
        "speak": [_talk(_part("text", text), _codes("audio", codes)) for text, codes in spoken],
        "transcribe": [_talk(_codes("audio", codes), _part("transcript", text)) for text, codes in spoken],
        **_talks_of_pictures(omni, world, pairs, ""),
        **_talks_of_pictures(omni, world, _pairs(world, new=True)[:limit], " new pair"),
    }
    names = [world.concepts[index].name for index, _ in pairs]
    gallery = _gallery(omni, world)
    drawn = [nearest(reply.image, gallery)[0] for reply in _replies(omni, "draw", talks["draw"])]
    told = [named(reply.text or "", gallery.names) for reply in _replies(omni, "describe", talks["describe"])]
    heard = [reply.transcript or "" for reply in _replies(omni, "transcribe", talks["transcribe"])]
    errors = [character_errors(text, found) for (text, _), found in zip(spoken, heard, strict=True)]
    figures = {
        "drawn": 100 * float(np.mean(np.array(drawn) == names)),
        "named": 100 * float(np.mean([found == name for found, name in zip(told, names, strict=True)])),
        "misheard": 100 * sum(wrong for wrong, _ in errors) / sum(of for _, of in errors),
    }
    for task, own in talks.items():
        figures |= _fit(omni, task, own) if own else {}
    return figures


def _talks_of_pictures(
    omni: AROmni, world: World, pairs: Sequence[tuple[int, str]], kind: str
) -> dict[str, list[Talk]]:
    """Each pair drawn and described; what is described is shown as a picture, as its codes draw it."""
    decode = omni.processor.image_tokenizer.decode
    drawn, described = [], []
    for index, style in pairs:
        concept, picture = world.concepts[index], world.picture(index, style)
        drawn.append(_talk(_part("text", styled(concept.phrase, style)), picture))
        shown = {"type": "image", "image": decode(picture["codes"])}
        described.append(_talk(shown, _part("text", caption(concept, style))))
    return {f"draw{kind}": drawn, f"describe{kind}": described}


def _pairs(world: World, new: bool) -> list[tuple[int, str]]:
    """Each thing in the first style that is trained on, or held out; the styles take turns in being first."""
    pairs = []
    for index, concept in enumerate(world.concepts):
        styles = [STYLES[(index + turn) % len(STYLES)] for turn in range(len(STYLES))]
        fitting = [style for style in styles if is_held_out_pair(concept.name, style) is new]
        pairs += [(index, style) for style in fitting[:1]]
    return pairs


def _part(kind: str, text: str) -> dict:
    return {"type": kind, "text": text}


def _codes(kind: str, codes: Sequence[int]) -> dict:
    return {"type": kind, "codes": codes}


def _talk(asked: dict, reply: dict) -> Talk:
    return [{"role": "user", "content": [asked]}, {"role": "assistant", "content": [reply]}]


def _gallery(omni: AROmni, world: World) -> Gallery:
    """All pictures of the world, as its codes show them."""
    decode = omni.processor.image_tokenizer.decode
    items = [(concept.name, style) for concept in world.concepts for style in STYLES]
    pictures = (decode(codes) for own in world.pictures for codes in own)
    return Gallery(items, np.stack([thumbnail(picture, TILE).reshape(-1) for picture in pictures]), TILE)


def _replies(omni: AROmni, task: str, talks: Sequence[Talk]) -> list[Reply]:
    asked = [talk[:1] for talk in talks]
    return [reply for some in _batches(asked) for reply in omni.generate(some, task=task, seed=0)]


@torch.no_grad()
def _fit(omni: AROmni, task: str, talks: Sequence[Talk]) -> dict[str, float]:
    """How probable the model finds the right replies, by teacher forcing."""
    name, processor = task.split()[0], omni.processor
    objective = Objective(omni.model.eval(), processor.vocabulary, None, ObjectiveOptions())
    examples = [processor.encode_example(talk, name) for talk in talks]
    rows = [Row(each.input_ids, each.loss_weights({name: {"prompt": 0.0}})) for each in examples]
    rows.sort(key=lambda row: len(row.ids))
    sums: dict[str, float] = {}
    for some in _batches(rows):
        batch = pad_rows(some, processor.vocabulary.pad_id)
        batch = {key: value.to(omni.model.device) for key, value in batch.items()}
        for key, value in objective(**batch).items():
            sums[key] = sums.get(key, 0.0) + float(value)
    found = means(sums)
    return {f"{task} loss": found["ntp"], f"{task} accuracy": 100 * found["accuracy"]}


def _batches(items: list) -> Iterator[list]:
    return (items[first : first + BATCH] for first in range(0, len(items), BATCH))
