"""The grammar under fire: random choices for thousands of steps never leave the language."""

import random

import pytest

from ar_omni.decoding import Controller, Options, Plan, State, plan_reply
from ar_omni.errors import InputError
from ar_omni.vocabulary import Vocabulary

V = Vocabulary.nano(20, 8, 10)
N = 9
PLANS = {
    "chat": plan_reply(("text",)),
    "chat with everything": plan_reply(("text", "image", "speech")),
    "spoken chat": plan_reply(("text", "image", "speech"), transcript="spoken", spoken=True),
    "speech alone": plan_reply(("speech",), "eos"),
    "picture alone": plan_reply(("image",), "eos"),
    "picture and speech": plan_reply(("image", "speech"), "eos"),
    "spoken, picture alone": plan_reply(("image",), transcript="spoken", spoken=True),
    "transcript": plan_reply(("text",), "eos", transcript="only"),
}


def run(plan, options=None, budget=200, seed=0, pick=None, codes=N):
    """A reply made of random legal ids -> (controller, [(id, state)])."""
    rng = random.Random(seed)
    controller = Controller(V, plan, options or Options(), codes, budget)
    emitted = []
    while not controller.done:
        rule = controller.rule()
        size = (len(rule.span) if rule.span else 0) + len(rule.exits)
        index = pick(rule, size) if pick else rng.randrange(size)
        token_id = rule.id(index)
        emitted.append((token_id, controller.push(token_id)))
    return controller, emitted


def check_language(ids, plan, budget, options):
    """Parse a reply from its ids alone, independently of the controller's table."""
    s = V.specials
    assert len(ids) <= budget
    assert ids[-1] == s[plan.end]
    assert ids.count(ids[-1]) == 1
    body, script, opened = ids[:-1], list(plan.script), []
    i = texts = 0
    while i < len(body):
        token = body[i]
        if token in (s["boi"], s["boa"], s["ins"]):
            name = {s["boi"]: "boi", s["boa"]: "boa", s["ins"]: "ins"}[token]
            span, closer = {"boi": (V.image, "eoi"), "boa": (V.speech, "eoa"), "ins": (V.text, "res")}[name]
            assert name in plan.media or name in script
            if name in script:
                assert name == script.pop(0)
            opened.append(name)
            end = body.index(s[closer], i)
            assert all(code in span for code in body[i + 1 : end])
            assert name != "boi" or end - i - 1 == N
            assert name != "boa" or end - i - 1 >= 1
            i = end + 1
        else:
            assert plan.text
            assert token in V.text
            texts += 1
            i += 1
    assert not script
    assert texts or opened, "an empty reply"
    assert all(opened.count(name) <= options.max_segments for name in plan.media)
    return opened


@pytest.mark.parametrize("name", PLANS)
def test_random_choices_stay_in_the_language(name):
    plan = PLANS[name]
    for seed in range(400):
        budget = 14 + seed % 60
        if name == "picture and speech":
            budget += 3
        options = Options(max_segments=1 + seed % 3, speech_repetition_limit=seed % 7)
        _, emitted = run(plan, options, budget, seed)
        check_language([i for i, _ in emitted], plan, budget, options)


@pytest.mark.parametrize("name", PLANS)
def test_every_budget_ends_legally_or_is_refused(name):
    plan, accepted = PLANS[name], 0
    for budget in range(40):
        try:
            Controller(V, plan, Options(), N, budget)
        except InputError:
            assert not accepted, "a larger budget was refused"
            continue
        accepted += 1
        for pick in (None, lambda rule, size: 0, lambda rule, size: size - 1):
            _, emitted = run(plan, Options(), budget, seed=budget, pick=pick)
            check_language([i for i, _ in emitted], plan, budget, Options())
    assert accepted > 20


@pytest.mark.parametrize("opener", [V.boi_id, V.boa_id])
@pytest.mark.parametrize("left", range(1, 20))
def test_media_open_only_where_they_still_fit(opener, left):
    plan = plan_reply(("text", "image", "speech"))
    controller, ids = Controller(V, plan, Options(), N, 25), []
    while not controller.done:
        rule = controller.rule()
        wanted = [w for w, _ in rule.exits]
        size = len(rule.span) if rule.span else 0
        leave = controller.left <= left and opener in wanted
        ids.append(rule.id(size + wanted.index(opener) if leave else 0))
        controller.push(ids[-1])
    check_language(ids, plan, 25, Options())


def first(rule, size):
    """Never leaves by itself."""
    return 0


def test_speech_that_was_asked_for_comes_before_the_end():
    plan = plan_reply(("text", "speech"))

    def hurry(rule, size):
        wanted = [w for w, _ in rule.exits]
        return size - len(wanted) + wanted.index(V.eom_id) if V.eom_id in wanted else size - 1

    _, emitted = run(plan, pick=hurry)
    assert check_language([i for i, _ in emitted], plan, 200, Options()) == ["boa"]
    states = [state for _, state in emitted]
    assert states == [State.SPEECH] * 3 + [State.END]


def test_who_wants_an_output_that_was_not_asked_for_has_said_all():
    controller = Controller(V, plan_reply(("text",)), Options(), N)
    assert controller.rule().exits == ()  # but says something
    controller.push(V.text.start)
    wishes = [V.boi_id, V.boa_id, V.eom_id, V.eos_id]
    assert dict(controller.rule().exits) == dict.fromkeys(wishes, V.eom_id)
    controller = Controller(V, plan_reply(("text", "image")), Options(), N)
    controller.push(V.text.start)
    assert V.boa_id not in dict(controller.rule().exits)  # it may yet draw


def test_a_reply_can_be_made_to_begin_with_text():
    options = Options(min_text_tokens=2)
    controller = Controller(V, plan_reply(("text", "speech", "image")), options, N)
    for _ in range(2):
        assert controller.rule().exits == ()
        controller.push(V.text.start)
    assert dict(controller.rule().exits)[V.boa_id] == V.boa_id


def test_a_transcript_alone_is_no_answer():
    controller = Controller(V, plan_reply(("text", "speech"), transcript="spoken", spoken=True), Options(), N)
    for token_id in (V.ins_id, V.text.start, V.res_id):
        controller.push(token_id)
    assert dict(controller.rule().exits) == {V.boa_id: V.boa_id}
    controller.push(V.text.start)
    assert dict(controller.rule().exits)[V.eom_id] == V.boa_id, "speech is still owed"


def test_speech_that_is_owed_comes_before_the_picture_whichever_is_wanted():
    controller = Controller(V, PLANS["chat with everything"], Options(), N, 200)
    controller.push(V.text.start)
    assert set(dict(controller.rule().exits).values()) == {V.boa_id}
    assert {V.boi_id, V.boa_id, V.eom_id} <= set(dict(controller.rule().exits))
    for token_id in (V.boa_id, V.speech.start, V.eoa_id):
        controller.push(token_id)
    assert dict(controller.rule().exits)[V.boi_id] == V.boi_id


def test_forced_outputs_leave_no_choice():
    controller = Controller(V, plan_reply(("image",), "eos"), Options(), N)
    assert controller.rule().forced == V.boi_id
    controller.push(V.boi_id)
    for _ in range(N):
        assert controller.rule().forced is None
        assert controller.rule().exits == ()
        controller.push(V.image.start)
    assert controller.rule().forced == V.eoi_id
    assert controller.push(V.eoi_id) is State.IMAGE
    assert controller.rule().forced == V.eos_id
    assert controller.push(V.eos_id) is State.END


@pytest.mark.parametrize(
    ("plan", "override", "length", "cut"),
    [
        ("chat", {"text": {"limit": 5}}, 6, "text limit"),
        ("transcript", {"transcript": {"limit": 5}}, 8, "transcript limit"),
        ("speech alone", {"speech": {"limit": 5}}, 8, "speech limit"),
        ("speech alone", {"speech_repetition_limit": 5}, 9, "speech repetition limit"),
        ("speech alone", {"max_new_tokens": 50, "speech_repetition_limit": 0}, 50, "max_new_tokens"),
        ("transcript", {"max_new_tokens": 50}, 50, "max_new_tokens"),
        ("chat", {"max_new_tokens": 50}, 50, "max_new_tokens"),
        ("picture alone", {"max_new_tokens": N + 3}, N + 3, None),
    ],
)
def test_limits_close_segments_and_are_told(plan, override, length, cut):
    options = Options().override(**override)
    controller, emitted = run(PLANS[plan], options, options.max_new_tokens, pick=first)
    check_language([i for i, _ in emitted], PLANS[plan], options.max_new_tokens, options)
    assert (len(emitted), controller.cut) == (length, cut)


@pytest.mark.parametrize("period", [1, 3, 8])
def test_repetition_of_any_short_period_is_seen(period):
    controller = Controller(V, PLANS["speech alone"], Options(speech_repetition_limit=20), N)
    controller.push(V.boa_id)
    for i in range(20 + period):
        assert controller.rule().forced is None
        controller.push(V.speech.start + i % period)
    assert controller.rule().forced == V.eoa_id


def test_varied_speech_is_not_stopped():
    controller = Controller(V, PLANS["speech alone"], Options(speech_repetition_limit=10), N)
    controller.push(V.boa_id)
    rng = random.Random(0)
    for _ in range(500):
        assert controller.rule().forced is None
        controller.push(V.speech.start + rng.randrange(10))


@pytest.mark.parametrize("name", PLANS)
def test_settling_an_interrupted_reply_is_legal(name):
    plan = PLANS[name]
    for stop in range(1, 40):
        _, emitted = run(plan, budget=60, seed=stop)
        controller = Controller(V, plan, Options(), N, 60)
        ids = [i for i, _ in emitted][:stop]
        for token_id in ids:
            controller.push(token_id)
        taken_back, appended = controller.settle()
        ids = ids[: len(ids) - taken_back] + appended
        loose = Plan((), ("boi", "boa", "ins"), end=plan.end)
        if len(ids) > 1:
            check_language(ids, loose, 60, Options())


def test_the_plan_follows_outputs_and_template():
    assert plan_reply(("text",), "eom", "spoken", spoken=False) == Plan()
    assert plan_reply(("text",), "eom", "spoken", spoken=True) == Plan(("ins",))
    assert plan_reply(("text", "speech"), "eom") == Plan((), ("boa",), ("boa",))
    assert plan_reply(("speech", "image"), "eos") == Plan(("boi", "boa"), text=False, end="eos")
    assert plan_reply(("text",), "eos", "only") == Plan(("ins",), text=False, end="eos")
