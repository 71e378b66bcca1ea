"""The loop: equal to generate(), equal in a batch, guided as the formula says, stopped at once."""

import pytest
import torch

from ar_omni.decoding import (
    Controller,
    Guidance,
    Network,
    Options,
    Row,
    Sampler,
    Sequence,
    decode,
    plan_reply,
)
from ar_omni.decoding.logits_processor import GrammarLogitsProcessor
from ar_omni.decoding.loop import penalise_text
from ar_omni.errors import CheckpointError
from ar_omni.vocabulary import Span

N = 9
OUTPUTS = [("text",), ("speech",), ("image",), ("text", "image", "speech"), ("image", "speech")]


def greedy_options():
    return Options(max_new_tokens=70, repetition_penalty=1.3).override(
        text={"limit": 15}, speech={"limit": 20}
    )


def sampling_options():
    return greedy_options().override(strategy="sample", temperature=1.5, top_p=0.9, top_k=30)


@pytest.fixture(scope="module", params=["pre", "post"])
def model(request, make_model):
    return make_model(seed=1, norm_position=request.param)


@pytest.fixture(scope="module")
def network(model):
    return Network.from_weights({k: t.clone() for k, t in model.state_dict().items()}, model.config.to_dict())


def prompt(vocabulary, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    text = torch.randint(vocabulary.text.start, vocabulary.text.stop, (count,), generator=generator).tolist()
    return [vocabulary.bos_id, *text, vocabulary.eoh_id]


def row(vocabulary, ids, outputs, options, seed=0, scale=1.0, spoken=False):
    plan = plan_reply(outputs, "eom", "spoken", spoken)
    branches = [[vocabulary.bos_id, vocabulary.eoh_id]]
    controller = Controller(vocabulary, plan, options, N)
    return Row(Sequence(list(ids)), controller, Sampler(seed), Guidance(branches, scale))


def reply(network, *rows):
    """The ids of each row."""
    out = [[] for _ in rows]
    for token in decode(network, rows):
        out[token.row].append(token.id)
    return out


@pytest.mark.parametrize("spoken", [False, True])
@pytest.mark.parametrize("outputs", OUTPUTS)
@torch.no_grad()
def test_greedy_equals_generate_with_the_controller_as_processor(model, network, vocabulary, outputs, spoken):
    for seed in range(3):
        ids, options = prompt(vocabulary, 5 + seed, seed), greedy_options()
        ours = reply(network, row(vocabulary, ids, outputs, options, spoken=spoken))[0]
        controller = row(vocabulary, ids, outputs, options, spoken=spoken).controller
        theirs = model.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids)),
            logits_processor=[GrammarLogitsProcessor([controller], vocabulary.pad_id)],
            max_new_tokens=70,
            do_sample=False,
        )
        assert theirs[0, len(ids) :].tolist() == ours


@torch.no_grad()
def test_generate_of_a_batch_that_samples_stays_legal(model, vocabulary):
    ids, options = prompt(vocabulary, 6), sampling_options()
    outputs = ("text", "image", "speech")
    rows = [row(vocabulary, ids, outputs, options, spoken=True) for _ in range(3)]
    processor = GrammarLogitsProcessor([r.controller for r in rows], vocabulary.pad_id)
    torch.manual_seed(0)
    out = model.generate(
        torch.tensor([ids] * 3),
        attention_mask=torch.ones(3, len(ids)),
        logits_processor=[processor],
        max_new_tokens=70,
        do_sample=True,
        temperature=1.0,
        top_k=0,
    )
    assert len({tuple(r) for r in out.tolist()}) == 3
    for r in out[:, len(ids) :].tolist():
        controller = row(vocabulary, ids, outputs, options, spoken=True).controller
        for token_id in r[: r.index(vocabulary.eom_id) + 1]:
            rule = controller.rule()
            assert (rule.span and token_id in rule.span) or token_id in [given for _, given in rule.exits]
            controller.push(token_id)
        assert controller.done
        assert set(r[r.index(vocabulary.eom_id) + 1 :]) <= {vocabulary.pad_id}


@pytest.mark.parametrize("options", [greedy_options(), sampling_options()], ids=["greedy", "sample"])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_a_batch_gives_what_its_rows_give_alone(network, vocabulary, options, scale):
    def rows():
        return [
            row(
                vocabulary,
                prompt(vocabulary, 3 + 4 * i, i),
                outputs,
                options,
                10 + i,
                scale,
                spoken=i % 2 == 0,
            )
            for i, outputs in enumerate(OUTPUTS)
        ]

    assert reply(network, *rows()) == [reply(network, one)[0] for one in rows()]


def test_seeds_repeat_and_differ(network, vocabulary):
    ids = prompt(vocabulary, 5)
    one, same, other = (
        reply(network, row(vocabulary, ids, ("speech",), sampling_options(), seed))[0] for seed in (1, 1, 2)
    )
    assert one == same != other


def test_guidance_is_the_formula_on_two_plain_forwards(model, network, vocabulary):
    ids, scale = prompt(vocabulary, 6), 3.0
    got = reply(network, row(vocabulary, ids, ("image",), Options(), scale=scale))[0]
    codes = []
    for _ in range(N):
        with torch.no_grad():
            rows = [
                [*start, vocabulary.boi_id, *codes] for start in (ids, [vocabulary.bos_id, vocabulary.eoh_id])
            ]
            full, none = (model(torch.tensor([r])).logits[0, -1] for r in rows)
        span = vocabulary.image
        guided = (none + scale * (full - none))[span.start : span.stop]
        codes.append(span.start + int(guided.argmax()))
    assert got == [vocabulary.boi_id, *codes, vocabulary.eoi_id, vocabulary.eom_id]
    assert got != reply(network, row(vocabulary, ids, ("image",), Options()))[0]


def test_three_branches():
    full, image, none = torch.randn(3, 7)
    guidance = Guidance([[0], [0]], 3.07, 1.15)
    expected = none + 1.15 * (image - none) + 3.07 * (full - image)
    torch.testing.assert_close(guidance.combine(torch.stack([full, image, none])), expected)


def test_branches_live_only_inside_a_picture(network, vocabulary):
    options = greedy_options()
    one = row(vocabulary, prompt(vocabulary, 4), ("image", "speech"), options, scale=2.0)
    alive = [(token.state, len(one.guidance.branches)) for token in decode(network, [one])]
    assert [count for state, count in alive if state == "image"] == [1] * (N + 1) + [0]
    assert {count for state, count in alive if state != "image"} == {0}
    assert Guidance([[0]], 1.0).combine(torch.ones(1, 3)).shape == (3,)


def test_only_new_ids_are_read(network, vocabulary, monkeypatch):
    counts = []
    plain = Network.forward
    monkeypatch.setattr(
        Network, "forward", lambda self, s: counts.append([len(x.new) for x in s]) or plain(self, s)
    )
    one = row(vocabulary, prompt(vocabulary, 10), ("speech",), greedy_options())
    ids = reply(network, one)[0]
    assert counts[0] == [13]  # bos, text, eoh, and the forced boa, in one piece
    assert all(count == [1] for count in counts[1:])
    assert len(counts) == len(ids) - 3 + (one.controller.cut is None)  # no step for boa, eom, or a forced eoa


def test_closing_the_generator_stops_the_model(network, vocabulary):
    one = row(vocabulary, prompt(vocabulary, 4), ("speech",), greedy_options())
    tokens = decode(network, [one])
    taken = [next(tokens).id for _ in range(5)]
    tokens.close()
    assert one.sequence.ids[-5:] == taken
    assert one.sequence.length == len(one.sequence.ids) - 1


def test_only_legal_rows_of_the_head_are_computed(network, vocabulary, monkeypatch):
    spans = []
    plain = Network.logits
    monkeypatch.setattr(
        Network,
        "logits",
        lambda self, h, span, exits: spans.append((span, exits)) or plain(self, h, span, exits),
    )
    reply(network, row(vocabulary, prompt(vocabulary, 4), ("speech",), greedy_options()))
    assert spans[0] == (vocabulary.speech, ())
    assert set(spans[1:]) == {(vocabulary.speech, (vocabulary.eoa_id,))}


def test_repetition_penalty_acts_on_text_only(network, vocabulary):
    free, strict = (greedy_options().override(repetition_penalty=p) for p in (1.0, 50.0))
    ids = prompt(vocabulary, 4)
    text = [reply(network, row(vocabulary, ids, ("text",), options))[0][:-1] for options in (free, strict)]
    assert len(set(text[1])) == len(text[1])
    assert text[0] != text[1] or len(set(text[0])) == len(text[0])
    speech = [reply(network, row(vocabulary, ids, ("speech",), options))[0] for options in (free, strict)]
    assert speech[0] == speech[1]


def test_no_penalty_outside_text(network, vocabulary):
    one = row(vocabulary, [], ("text", "speech"), greedy_options())
    one.controller.push(vocabulary.text.start)
    text = one.controller.rule()
    one.controller.push(vocabulary.boa_id)
    speech = one.controller.rule()
    for rule, changed in [(text, True), (speech, False)]:
        scores = torch.ones(len(rule.span))
        assert (penalise_text(scores.clone(), rule, one.controller) != scores).any() == changed


def test_nan_is_refused(network, vocabulary, monkeypatch):
    monkeypatch.setattr(
        Network, "logits", lambda self, h, s, e: torch.full((1, len(s or Span(0, 1))), torch.nan)
    )
    for options in (greedy_options(), sampling_options()):
        with pytest.raises(CheckpointError, match="NaN"):
            reply(network, row(vocabulary, prompt(vocabulary, 4), ("speech",), options))
