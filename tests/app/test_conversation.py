"""Conversations of several people: replies that are a chat's, stopped, taken back, and bounded."""

import threading

import pytest

from ar_omni.app import conversation as conversations
from ar_omni.app.conversation import Conversation
from ar_omni.app.turns import Heard
from ar_omni.chat import Chat
from ar_omni.errors import InputError

ALL = ("text", "image", "speech")
TALK = (("hello", ALL, 1), ("show me a red apple", ALL, 2), ("what is that?", ("text",), 3))


def text(words):
    return [{"type": "text", "text": words}]


def last(turns):
    *_, turn = turns
    return turn


def same(turn, reply):
    speech = turn.speech.audio if len(turn.speech) else None
    picture = turn.picture.tobytes() if turn.picture else None
    expected = reply.image.tobytes() if reply.image else None
    return (turn.text, speech, picture) == (reply.text or "", reply.audio, expected)


def until_speech(turns, samples=1):
    return next(turn for turn in turns if len(turn.speech) >= samples)


def test_a_conversation_is_a_chat(omni, model):
    chat, conversation = Chat(omni), Conversation(model)
    for words, outputs, seed in TALK:
        turn = last(conversation.send(text(words), outputs=outputs, seed=seed, previews=True))
        reply = chat.send(words, outputs=outputs, seed=seed)
        assert same(turn, reply)
        assert turn.ended and not turn.note
        assert turn.stats.cached_tokens == reply.stats.cached_tokens, "the KV cache was not kept"


def test_people_at_once_get_what_they_would_get_alone(omni, model):
    crowd = [Conversation(model) for _ in range(3)]
    together = [[] for _ in crowd]

    def talk(index):
        for words, outputs, seed in TALK:
            together[index].append(last(crowd[index].send(text(words), outputs=outputs, seed=seed + index)))

    threads = [threading.Thread(target=talk, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for index, turns in enumerate(together):
        chat = Chat(omni)
        for turn, (words, outputs, seed) in zip(turns, TALK, strict=True):
            assert same(turn, chat.send(words, outputs=outputs, seed=seed + index))


def test_stop_really_stops_the_model(model):
    conversation = Conversation(model)
    turns = conversation.send(text("hello"), outputs=("speech",), seed=0)
    until_speech(turns)
    conversation.stop()
    assert model.engine.load == (0, 0)
    turn = last(turns)
    assert turn.ended and turn.note == "stopped" and turn.stats is None
    assert last(conversation.send(text("the fox"), seed=0)).stats.cached_tokens > 0, "what was said is lost"


def test_sending_interrupts_and_keeps_what_was_played(omni, model):
    conversation = Conversation(model)
    first = last(conversation.send(text("hello"), outputs=("text", "speech"), seed=1))
    whole = first.speech.audio
    played = len(whole.samples) // 2
    conversation.stop(Heard(first.id, played))
    assert first.speech.audio.samples.tolist() == whole.samples[:played].tolist()
    assert first.note == "stopped"
    second = last(conversation.send(text("the fox"), outputs=("text",), seed=2))
    chat = Chat(omni)
    chat.send("hello", outputs=("text", "speech"), seed=1)
    chat.heard(played / whole.sample_rate)
    assert same(second, chat.send("the fox", outputs=("text",), seed=2))


@pytest.mark.parametrize("report", [None, Heard("another", 1), Heard("", 10**9)])
def test_speech_that_was_not_interrupted_stays_whole(model, report):
    conversation = Conversation(model)
    turn = last(conversation.send(text("hello"), outputs=("text", "speech"), seed=1))
    before = len(turn.speech)
    conversation.stop(Heard(turn.id, 10**9) if report and not report.turn_id else report)
    assert len(turn.speech) == before and not turn.note


def test_a_new_message_ends_the_reply_that_runs(model):
    conversation = Conversation(model)
    first = conversation.send(text("hello"), outputs=("speech",), seed=0)
    until_speech(first)
    second = last(conversation.send(text("the fox"), seed=0))
    assert second.ended and second.stats
    assert last(first).note == "stopped"
    assert [turn.ended for turn in conversation.turns] == [True, True]


def test_whoever_goes_away_frees_the_place(model):
    turns = Conversation(model).send(text("hello"), outputs=("speech",), seed=0)
    until_speech(turns)
    turns.close()
    assert model.engine.load == (0, 0)


def test_again_and_edit(omni, model):
    conversation, chat = Conversation(model), Chat(omni)
    turns = [
        last(conversation.send(text(words), outputs=outputs, seed=seed)) for words, outputs, seed in TALK
    ]
    chat.send(TALK[0][0], outputs=TALK[0][1], seed=TALK[0][2])
    assert conversation.rewind(turns[1].id) is turns[1]
    assert conversation.turns == turns[:1]
    assert same(last(conversation.send(text("the fox"), seed=5)), chat.send("the fox", seed=5))
    assert conversation.rewind(turns[2].id) is None, "it was gone already"


def test_clear_forgets(omni, model):
    conversation = Conversation(model)
    for _ in range(2):
        turn = last(conversation.send(text("hello"), seed=0))
        assert turn.stats.cached_tokens == 0
        conversation.clear()
        assert conversation.turns == []


def test_a_message_that_cannot_be_used_changes_nothing(model):
    conversation = Conversation(model)
    last(conversation.send(text("hello"), seed=0))
    with pytest.raises(InputError, match="expected outputs"):
        conversation.send(text("hello"), outputs=("smell",))
    assert len(conversation.turns) == 1
    assert last(conversation.send(text("the fox"), seed=0)).stats.cached_tokens > 0


def test_a_full_context_starts_afresh_and_says_so(model):
    conversation = Conversation(model)
    turns = [last(conversation.send(text("the quick brown fox"), seed=seed)) for seed in range(12)]
    warned = [index for index, turn in enumerate(turns) if turn.warning]
    assert warned and all(turn.stats for turn in turns)
    assert turns[warned[0]].stats.cached_tokens == 0
    conversation.rewind(turns[warned[0] - 1].id)
    assert last(conversation.send(text("the fox"), seed=0)).stats.cached_tokens == 0


def test_what_is_kept_for_a_person_is_bounded(model, monkeypatch):
    monkeypatch.setattr(conversations, "MAX_TURNS", 3)
    conversation = Conversation(model)
    for seed in range(5):
        last(conversation.send(text("hello"), seed=seed, max_new_tokens=4))
    assert len(conversation.turns) == 3
    monkeypatch.setattr(conversations, "MAX_BYTES", 1)
    last(conversation.send(text("hello"), outputs=("speech",), seed=0))
    last(conversation.send(text("hello"), outputs=("speech",), seed=0))
    assert len(conversation.turns) == 1
