"""The published decoder's grammar, which is none: to reproduce old outputs, not to make new ones.

Any id but an image code is legal in TEXT, so speech codes, control ids and reserved ones may stand anywhere;
only boi opens something, a picture. The last id picks the strategy (after `ins` or `boa` that of the
transcript or of speech, after `res` or `eoa` that of text), and the repetition penalty counts the whole
history, prompt and speech included.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ar_omni.decoding.cache import Sequence as Cached
from ar_omni.decoding.controller import Controller, Plan, Rule, State
from ar_omni.decoding.guidance import Guidance
from ar_omni.decoding.loop import Row, decode
from ar_omni.decoding.network import Network
from ar_omni.decoding.options import Options
from ar_omni.decoding.sampling import Sampler
from ar_omni.vocabulary import Span, Vocabulary

MODES = {"ins": State.TRANSCRIPT, "boa": State.SPEECH, "res": State.TEXT, "eoa": State.TEXT}
"""Mark -> the state whose strategy the published selector changes to when it comes last."""
DRAWING = Plan(script=("boi",), media=("boi",), text=False, end="eos")
WRITING = Plan(media=("boi",), end="eom")
WRITING_ROWS = Plan(end="eom")
"""In a batch, the published code draws only when all rows want to at once; else boi is one more id."""


class PublishedController(Controller):
    """A `Controller` without the grammar of TEXT.

    Args:
        vocabulary: the checkpoint's ids.
        plan: `DRAWING`, `WRITING` or `WRITING_ROWS`.
        options: the task's preset.
        codes_per_image: codes between boi and eoi.
        budget: most ids of the reply.
        prompt: its ids, for the repetition penalty.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        plan: Plan,
        options: Options,
        codes_per_image: int,
        budget: int,
        prompt: Sequence[int],
    ):
        super().__init__(vocabulary, plan, options, codes_per_image, budget)
        self._free = Span(vocabulary.image.stop, vocabulary.size)
        self._modes = {vocabulary.specials[name]: state for name, state in MODES.items()}
        self._mode = State.TEXT
        for token_id in prompt:
            self._note(token_id)

    def rule(self) -> Rule:
        """What is legal now, and the strategy of the published selector."""
        rule = super().rule()
        if rule.state is not State.TEXT or rule.forced is not None:
            return rule
        others = tuple((i, i) for i in range(self.vocabulary.image.start))
        return Rule(State.TEXT, self._free, others, getattr(self.options, self._mode))

    def _push_text(self, token_id: int) -> State:
        self._note(token_id)
        ids = self.vocabulary
        if token_id in (ids.eos_id, ids.eom_id):
            self._enter(State.END)
            return State.END
        if token_id == ids.boi_id and "boi" in self.plan.media:
            self._mode = State.TEXT  # the published code starts a new selector after a picture
            self._note(ids.eoi_id)
            return super()._push_text(token_id)
        self.count += 1
        return State.TEXT

    def _note(self, token_id: int) -> None:
        """Follow one id of the history."""
        self._mode = self._modes.get(token_id, self._mode)
        if token_id in self._free:
            self.text_ids.add(token_id)


def decode_published(
    network: Network,
    vocabulary: Vocabulary,
    prompts: Sequence[Sequence[int]],
    options: Options,
    draw: bool = False,
    codes_per_image: int = 1024,
    budget: int | None = None,
    seed: int = 0,
) -> Iterator[tuple[int, int]]:
    """Decode ids as the published generators do.

    Args:
        network: the model.
        vocabulary: its ids.
        prompts: the rows' prompts.
        options: how to choose; pictures are guided by its two scales.
        draw: give one picture, and nothing else.
        codes_per_image: codes between boi and eoi.
        budget: most new ids of a row, the end included; None takes `options.max_new_tokens`.
        seed: of what is sampled.

    Yields:
        (row, id), a row's ids in order; pictures within boi .. eoi, also where the published code drops them.
    """
    plan = DRAWING if draw else WRITING if len(prompts) == 1 else WRITING_ROWS
    budget = options.max_new_tokens if budget is None else budget
    rows = [
        Row(
            Cached(list(prompt)),
            PublishedController(vocabulary, plan, options, codes_per_image, budget, prompt),
            Sampler(seed, network.device),
            Guidance(branches(prompt, vocabulary), options.guidance_scale, options.image_guidance_scale),
        )
        for prompt in prompts
    ]
    return ((token.row, token.id) for token in decode(network, rows))


def branches(prompt: Sequence[int], vocabulary: Vocabulary) -> list[list[int]]:
    """What guidance reads: the prompt's pictures alone, if there are some, and nothing of it."""
    kept = {vocabulary.bos_id, vocabulary.boi_id, vocabulary.eoi_id}
    pictures = [i for i in prompt if i in kept or i in vocabulary.image]
    empty = [vocabulary.bos_id]
    return [pictures, empty] if pictures != empty else [empty]
