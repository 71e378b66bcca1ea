"""The engine: replies decoded together are those decoded alone; places are bounded, and freed."""

import threading
import time

import pytest

from ar_omni.chat import Chat
from ar_omni.errors import CheckpointError
from ar_omni.events import SpeechChunk, TextDelta, TurnEnd
from ar_omni.planning import Request, as_messages, plan_turn
from ar_omni.serving import engine as engines
from ar_omni.serving.engine import BusyError, Engine, SlowError, Waiting
from ar_omni.streaming import collect

REQUESTS = [
    ("hello", ("text",)),
    ("show me a red apple", ("text", "image", "speech")),
    ("what is that?", ("speech",)),
    ("a lazy dog", ("image",)),
    ("the quick brown fox", ("text", "speech")),
]


def plan(omni, prompt="hello", seed=0, **kwargs):
    return plan_turn(omni, as_messages(prompt), Request.of(seed=seed, **kwargs))


def same(a, b):
    pictures = [[image.tobytes() for image in reply.images] for reply in (a, b)]
    return (a.text, a.transcript, a.audio, pictures[0]) == (b.text, b.transcript, b.audio, pictures[1])


def eventually(condition, seconds=10):
    stop = time.monotonic() + seconds
    while not condition() and time.monotonic() < stop:
        time.sleep(0.005)
    return condition()


@pytest.fixture
def engine(omni):
    engine = Engine(omni, slots=3, room=4)
    yield engine
    engine.close()


def test_replies_together_are_replies_alone(omni, engine):
    jobs = [(prompt, outputs, seed) for seed in range(2) for prompt, outputs in REQUESTS]
    alone = [omni.generate(prompt, outputs=outputs, seed=seed) for prompt, outputs, seed in jobs]
    together = [None] * len(jobs)

    def work(index):
        prompt, outputs, seed = jobs[index]
        while together[index] is None:
            try:
                together[index] = collect(engine.run(plan(omni, prompt, seed, outputs=outputs)))
            except BusyError:
                time.sleep(0.01)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(map(same, alone, together))
    assert engine.counts["finished"] == len(jobs)
    assert engine.counts["tokens"] == sum(reply.stats.new_tokens for reply in alone)
    assert eventually(lambda: engine.load == (0, 0))


def test_closing_a_stream_frees_its_place_at_once(omni, engine):
    stream = engine.run(plan(omni, outputs=("text", "image", "speech")))
    next(stream)
    assert engine.load == (1, 0)
    stream.close()
    assert engine.load == (0, 0)
    assert engine.counts["cancelled"] == 1


@pytest.fixture
def full(omni, monkeypatch):
    """An engine of one slot and one place to wait, both taken; its rows never get on."""
    monkeypatch.setattr(engines, "HEARTBEAT_S", 0.02)
    monkeypatch.setattr(engines, "step", lambda network, rows: iter(time.sleep(0.001) or ()))
    engine = Engine(omni, slots=1, room=1)
    running, waiting = engine.run(plan(omni)), engine.run(plan(omni))
    reader = threading.Thread(target=lambda: list(iter(lambda: next(running, None), None)), daemon=True)
    reader.start()
    assert eventually(lambda: engine.load == (1, 0))
    assert next(waiting) == Waiting(0)
    yield engine, waiting
    engine.limit_s = 0
    waiting.close()
    reader.join()
    engine.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_places_are_bounded(omni, full):
    engine, _ = full
    with pytest.raises(BusyError, match="1 replies wait already; try again in") as refusal:
        next(engine.run(plan(omni)))
    assert refusal.value.retry_after_s >= 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_whoever_waits_can_turn_away(omni, full):
    engine, waiting = full
    waiting.close()
    assert engine.load == (1, 0)
    again = engine.run(plan(omni))
    assert next(again) == Waiting(0)
    again.close()


def test_a_reply_that_takes_too_long_is_ended(omni, engine, monkeypatch):
    monkeypatch.setattr(engine, "limit_s", 0)
    with pytest.raises(SlowError, match="more than 0 s"):
        collect(engine.run(plan(omni)))
    assert engine.counts["failed"] == 1


def test_an_error_reaches_its_readers_and_the_next_reply_comes(omni, engine, monkeypatch):
    real = engines.step

    def broken(network, rows):
        raise CheckpointError("expected finite logits")

    monkeypatch.setattr(engines, "step", broken)
    with pytest.raises(CheckpointError, match="finite"):
        collect(engine.run(plan(omni)))
    monkeypatch.setattr(engines, "step", real)
    assert same(collect(engine.run(plan(omni))), omni.generate("hello", seed=0))


def test_closing_finishes_what_runs_and_takes_no_more(omni):
    engine = Engine(omni)
    stream = engine.run(plan(omni, outputs=("text", "speech")))
    events = [next(stream)]
    closing = threading.Thread(target=engine.close, args=(30,))
    closing.start()
    events += stream
    closing.join()
    assert isinstance(events[-1], TurnEnd)
    with pytest.raises(BusyError, match="closing"):
        next(engine.run(plan(omni)))


def test_closing_without_grace_stops_what_runs(omni):
    engine = Engine(omni)
    stream = engine.run(plan(omni, outputs=("text", "image", "speech")))
    next(stream)
    engine.close()
    with pytest.raises(BusyError, match="closing"):
        list(stream)


def test_idle_waits_for_replies_and_holds_new_ones_back(omni, engine, monkeypatch):
    monkeypatch.setattr(engines, "HEARTBEAT_S", 0.02)
    with engine.idle():
        stream = engine.run(plan(omni))
        assert next(stream) == Waiting(0)
    assert collect(stream).text == omni.generate("hello", seed=0).text


def test_conversations_go_through_the_engine_and_survive_interruption(omni, engine):
    def talk(chat):
        replies = [chat.send("hello", seed=1, outputs=("text", "speech"))]
        stream = chat.stream("a red apple", seed=2, outputs=("text", "speech"))
        replies.append(next(event for event in stream if isinstance(event, TextDelta | SpeechChunk)))
        ids = len(chat._sequence.ids)
        return replies, chat.send("what is that?", seed=3), ids

    ours, last, _ = talk(Chat(omni, run=engine.run))
    alone, expected, _ = talk(Chat(omni))
    assert same(ours[0], alone[0])
    assert last.stats.cached_tokens > 0
    assert last.text is not None and expected.text is not None
    assert eventually(lambda: engine.load == (0, 0))


def test_a_halted_reply_ends_while_someone_waits_for_its_next_event(omni, engine, monkeypatch):
    halt = threading.Event()
    monkeypatch.setattr(engines, "step", lambda network, rows: time.sleep(0.05) or iter(()))
    reader = threading.Thread(target=lambda: list(engine.run(plan(omni), halt)))
    reader.start()
    assert eventually(lambda: engine.load == (1, 0))
    halt.set()
    reader.join(5)
    assert not reader.is_alive() and engine.load == (0, 0)
