"""Writes the evaluation set of the package: what nano never saw in training, and pictures to judge it by.

python train/held_out.py --work-dir runs/nano --out ar_omni/assets/eval
"""

from __future__ import annotations

import argparse
import itertools
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ar_omni.evaluation.conversations import KNOWN
from ar_omni.evaluation.heldout import Pair, Request, Turn, save_held_out
from ar_omni.training.arguments import load_recipe
from ar_omni.training.world.dialogues import Exchange, conversation, is_held_out_conversation
from ar_omni.training.world.phrases import (
    SORRY,
    asked_for,
    explanation,
    held_out_requests,
    show_reply,
    strangers,
    styled,
)
from ar_omni.training.world.pictures import STYLES, Concept, is_held_out_pair, load_concepts
from ar_omni.training.world.sentences import is_held_out, joined, sentences
from ar_omni.training.world.unknown import invented

SENTENCES, LONG_SENTENCES, REQUESTS, SCRIPTS = 100, 60, 60, 100
SEEN, UNSEEN, MORE = 120, 100, 160
"""Pairs that were trained on, pairs that never were, and more pictures for the image tokenizer."""
STRANGERS = 60
"""Unknown things of each kind: nouns, two words, words that mean nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work-dir", type=Path, default=Path("runs/nano"))
    parser.add_argument("--out", type=Path, default=Path("ar_omni/assets/eval"))
    parser.add_argument("--recipe", type=Path, default=Path("configs/nano.yaml"), help="says what nano knows")
    parser.add_argument("--typed", type=Path, default=Path("configs/nano/typed.txt"), help="typed questions")
    parser.add_argument("--image-size", type=int, default=96)
    args = parser.parse_args()
    concepts = load_concepts(args.work_dir / "concepts.json", load_recipe(args.recipe).groups)
    with np.load(args.work_dir / f"pictures-{args.image_size}.npz") as data:
        drawn = data["pictures"]
    gallery = {
        (concept.name, style): Image.fromarray(drawn[concept.number, column])
        for concept in concepts
        for column, style in enumerate(STYLES)
    }
    rng = random.Random(2)
    save_held_out(
        args.out,
        gallery,
        sentences=list(itertools.islice(everyday(seed=1), SENTENCES)),
        long_sentences=list(itertools.islice(joined(seed=3, held_out=True), LONG_SENTENCES)),
        pairs=pairs(concepts, rng),
        requests=[Request(*request) for request in rng.sample(list(held_out_requests(concepts)), REQUESTS)],
        scripts=list(itertools.islice(scripts(concepts, rng), SCRIPTS)),
        questions=[*unknown(random.Random(5)), *typed(args.typed, concepts)],
        more_pictures=rng.sample(list(gallery), MORE),
        picture_size=args.image_size,
    )


def everyday(seed: int) -> Iterator[str]:
    """Sentences of 5 to 12 words."""
    return (text for text in sentences(seed, held_out=True) if len(text.split()) >= 5)


def pairs(concepts: Sequence[Concept], rng: random.Random) -> list[Pair]:
    """Pairs of both kinds, mixed."""
    every = [
        Pair(
            concept.name,
            style,
            styled(concept.phrase, style),
            not is_held_out_pair(concept.name, style),
            concept.group,
        )
        for concept in concepts
        for style in STYLES
    ]
    chosen = []
    for seen, count in ((True, SEEN), (False, UNSEEN)):
        fitting = [pair for pair in every if pair.seen is seen]
        chosen += rng.sample(fitting, min(count, len(fitting)))
    return rng.sample(chosen, len(chosen))


def scripts(concepts: Sequence[Concept], rng: random.Random) -> Iterator[list[Turn]]:
    """Endless held-out conversations of at least two turns; every other turn is spoken."""
    while True:
        exchanges = conversation(concepts, rng)
        if len(exchanges) > 1 and is_held_out_conversation(exchanges):
            yield [turn(concepts, exchange, rng.random() < 0.5) for exchange in exchanges]


def unknown(rng: random.Random) -> Iterator[Turn]:
    """Questions about things that are never asked for in training; every other one is spoken."""
    nouns, pairs = strangers(held_out=True)
    words = (word for word in iter(lambda: invented(rng), None) if is_held_out(word, share=0.05))
    kinds = {
        "a noun": rng.sample(nouns, STRANGERS),
        "two words": rng.sample(pairs, STRANGERS),
        "no word": itertools.islice(words, STRANGERS),
    }
    for kind, things in kinds.items():
        for number, thing in enumerate(things):
            yield Turn(asked_for(thing, rng), number % 2 == 1, SORRY, kind)


def typed(path: Path, concepts: Sequence[Concept]) -> Iterator[Turn]:
    """The questions of a file like `configs/nano/typed.txt`."""
    named = {concept.name: concept for concept in concepts}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        said, wanted = line.split(" = ")
        what, _, thing = wanted.partition(" ")
        name, _, style = thing.partition(" in ")
        drawn = None
        if what == "sorry":
            answer = SORRY
        elif what == "say":
            answer = f"{thing}."
        else:
            concept, drawn = named[name], (name, style or None)
            answer = explanation(concept) if what == "explain" else show_reply(concept, style or None)
        yield Turn(said, False, answer, "typed" if what == "sorry" else KNOWN, drawn=drawn)


def turn(concepts: Sequence[Concept], exchange: Exchange, spoken: bool) -> Turn:
    """An exchange with names for indices; the style of the drawing counts where the words tell it."""
    shown = drawn = None
    if exchange.shown:
        shown = concepts[exchange.shown[0]].name, exchange.shown[1]
    if exchange.drawn:
        index, style = exchange.drawn
        drawn = concepts[index].name, style if f"in {style} style" in exchange.said else None
    return Turn(exchange.said, spoken, exchange.answer, exchange.kind, shown, drawn)


if __name__ == "__main__":
    main()
