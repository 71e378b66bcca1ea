"""`ar-omni bench`: how fast a model reads, decodes and speaks here, beside transformers' own `generate()`.

Both read the same prompt and give as many ids: ours the codes of a picture, which have a fixed number, under
the grammar; `generate()` its likeliest ids without one. Each figure is the median of several rounds after one
that warms up; both networks have the same weights and dtype.
"""

from __future__ import annotations

import platform
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from ar_omni.commands import load_model
from ar_omni.errors import UnsupportedOutputError

if TYPE_CHECKING:
    from ar_omni.events import Stats
    from ar_omni.omni import AROmni

PROMPT_TOKENS = 512
SENTENCE = "good afternoon, the train to the city leaves at ten."
ROUNDS = 5


@dataclass(frozen=True)
class Speed:
    """One figure: the median of its rounds, the least and the greatest.

    Attributes:
        name: what was measured.
        unit: of the three values.
    """

    name: str
    unit: str
    value: float
    low: float
    high: float

    @classmethod
    def of(cls, name: str, unit: str, values: list[float]) -> Speed:
        return cls(name, unit, median(values), min(values), max(values))

    def __str__(self) -> str:
        digits = 0 if self.low >= 100 else 3 if self.high < 1 else 1
        shown = [f"{value:,.{digits}f}" for value in (self.value, self.low, self.high)]
        return f"{self.name:<44}{shown[0]:>9} {self.unit:<8}({shown[1]} to {shown[2]})"


def main(args: Namespace) -> dict:
    """Measures and prints the figures, each as soon as it is there."""
    import torch
    import transformers

    settings = {
        "threads": torch.get_num_threads(),
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    started = perf_counter()
    omni = load_model(args)
    settings |= {"device": str(omni.network.device), "dtype": str(omni.network.dtype).removeprefix("torch.")}
    loading = perf_counter() - started
    found = [Speed("loading", "s", loading, loading, loading)]
    if not args.json:
        print(", ".join(f"{name} {value}" for name, value in settings.items()), flush=True)
        print(found[0], flush=True)
    for speed in measure(omni, args.seed, ROUNDS):
        found.append(speed)
        if not args.json:
            print(speed, flush=True)
    return settings | {"figures": [asdict(speed) for speed in found]}


def measure(omni: AROmni, seed: int = 0, rounds: int = ROUNDS) -> Iterator[Speed]:
    """The figures of a model, ours first: stock weights take the place of ours, and not room beside them.

    Args:
        omni: the model; its `model` is loaded at the end.
        seed: of what is sampled.
        rounds: how often each figure is measured.
    """
    codes = omni.processor.template.codes_per_image
    prompt = _prompt(omni, min(PROMPT_TOKENS, omni.network.context - codes - 3))
    yield from _reading_and_decoding("", _timed(lambda: _ours(omni, prompt, seed), rounds), len(prompt))
    yield from _media(omni, seed, rounds)
    stock = "generate(): "
    yield from _reading_and_decoding(stock, _timed(_stock(omni, prompt, codes), rounds), len(prompt))


Round = tuple[float, float, int]
"""Seconds to the first id, seconds to the others, and how many others there were."""


def _timed(run: Callable[[], Round], rounds: int) -> list[Round]:
    run()
    return [run() for _ in range(rounds)]


def _reading_and_decoding(whose: str, rounds: list[Round], size: int) -> Iterator[Speed]:
    yield Speed.of(f"{whose}reading {size} ids", "ids/s", [size / first for first, _, _ in rounds])
    yield Speed.of(
        f"{whose}decoding {rounds[0][2] + 1} ids", "ids/s", [count / rest for _, rest, count in rounds]
    )


def _prompt(omni: AROmni, size: int) -> list[int]:
    """Any text, begun like every conversation."""
    vocabulary = omni.processor.vocabulary
    text = vocabulary.text
    return [vocabulary.bos_id, *(text.start + index % len(text) for index in range(size - 1))]


def _ours(omni: AROmni, prompt: list[int], seed: int) -> Round:
    from ar_omni.decoding import Controller, Guidance, Options, Row, Sampler, Sequence, decode, plan_reply

    processor = omni.processor
    plan = plan_reply(("image",))
    controller = Controller(processor.vocabulary, plan, Options(), processor.template.codes_per_image)
    row = Row(Sequence(list(prompt)), controller, Sampler(seed, omni.network.device), Guidance([], 1.0))
    started = perf_counter()
    codes = (token for token in decode(omni.network, [row]) if token.id in processor.vocabulary.image)
    next(codes)
    first = perf_counter()
    count = sum(1 for _ in codes)
    return first - started, perf_counter() - first, count


def _stock(omni: AROmni, prompt: list[int], codes: int) -> Callable[[], Round]:
    import torch

    model = omni.model
    ids = torch.tensor([prompt], device=model.device)
    options = {"attention_mask": torch.ones_like(ids), "do_sample": False}

    def generate(count: int) -> float:
        started = perf_counter()
        model.generate(ids, max_new_tokens=count, min_new_tokens=count, **options)
        return perf_counter() - started

    def run() -> Round:
        first = generate(1)
        return first, generate(codes) - first, codes - 1

    return run


def _media(omni: AROmni, seed: int, rounds: int) -> Iterator[Speed]:
    """Latency and speed of speech, and the time of a picture, with prompts and codecs."""
    spoken = [each for each in _stats(omni, "speech", seed, rounds) if each.rtf]
    if spoken:
        waits = [1000 * (each.prefill_s + each.first_chunk_s) for each in spoken]
        yield Speed.of("first speech after", "ms", waits)
        yield Speed.of("real-time factor of speech", "x", [each.rtf for each in spoken])
    drawn = [each.prefill_s + each.decode_s for each in _stats(omni, "image", seed, rounds)]
    if drawn:
        yield Speed.of("a picture", "s", drawn)


def _stats(omni: AROmni, output: str, seed: int, rounds: int) -> list[Stats]:
    """How replies of one medium went; none where the checkpoint does not give it."""
    try:
        replies = [omni.generate(SENTENCE, outputs=(output,), seed=seed) for _ in range(rounds + 1)]
    except UnsupportedOutputError:
        return []
    return [reply.stats for reply in replies[1:]]
