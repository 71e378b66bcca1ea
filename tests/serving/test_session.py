"""Conversations over a WebSocket: events as they come, barge-in, and nothing that breaks the next message."""

import base64
import json

import numpy as np
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from ar_omni.chat import Chat
from ar_omni.media import Audio
from tests.serving.conftest import KEY, Server
from tests.serving.test_engine import eventually
from tests.serving.test_http import slow_down

ALL = ("text", "image", "speech")


@pytest.fixture
def socket(server):
    with dial(server) as socket:
        yield socket


def dial(server, key=KEY):
    url = server.url.replace("http", "ws") + "/v1/conversation"
    return connect(url, additional_headers={"Authorization": f"Bearer {key}"})


def send(socket, kind, **fields):
    socket.send(json.dumps({"type": kind} | fields))


def until(socket, *kinds):
    """The messages up to the first of these kinds."""
    found = []
    while not found or found[-1]["type"] not in kinds:
        found.append(json.loads(socket.recv(timeout=20)))
    return found


def text_of(messages, kind="text"):
    return "".join(message["text"] for message in messages if message["type"] == kind)


def test_a_conversation_is_a_chat(omni, socket):
    chat = Chat(omni)
    for turn, words in enumerate(["hello", "a red apple"]):
        expected = chat.send(words, outputs=ALL, seed=turn)
        send(socket, "message", content=words, outputs=ALL, seed=turn)
        got = until(socket, "end")
        assert text_of(got) == (expected.text or "")
        speech = b"".join(base64.b64decode(m["audio"]) for m in got if m["type"] == "speech")
        assert len(speech) == 2 * len(expected.audio.samples)
        assert sum(m["type"] == "image" for m in got) == len(expected.images)
        assert got[-1]["stats"]["new_tokens"] == expected.stats.new_tokens
        assert got[-1]["stats"]["cached_tokens"] == expected.stats.cached_tokens


def test_speech_comes_in_pieces(omni, socket, tone):
    pcm = (tone.samples * (2**15 - 1)).astype("<i2")
    expected = Chat(omni).send(Audio(pcm.astype(np.float32) / 2**15, tone.sample_rate), seed=1)
    send(socket, "audio", sample_rate=tone.sample_rate)
    for piece in np.array_split(pcm, 5):
        socket.send(piece.tobytes())
    send(socket, "commit", seed=1)
    got = until(socket, "end")
    assert text_of(got, "transcript") == expected.transcript
    assert text_of(got) == expected.text


@pytest.mark.parametrize("how", ["interrupt", "message", "speech"])
def test_barge_in_stops_the_reply_and_the_conversation_goes_on(server, socket, how, monkeypatch, idle):
    slow_down(server.service, monkeypatch)
    cancelled = server.service.engine.counts["cancelled"]
    send(socket, "message", content="hello", outputs=ALL, seed=0)
    until(socket, "segment.start")
    if how == "speech":
        socket.send(b"\0\0" * 800)
    else:
        send(socket, how, content="a red apple", seed=1)
    assert until(socket, "interrupted", "end")[-1]["type"] == "interrupted"
    if how != "message":
        send(socket, "message", content="a red apple", seed=1)
    end = until(socket, "end")[-1]
    assert end["stats"]["cached_tokens"] > 0, "the conversation was lost"
    assert idle()
    assert server.service.engine.counts["cancelled"] == cancelled + 1


def test_reset_forgets(socket):
    first = []
    for _ in range(2):
        send(socket, "message", content="hello", seed=0)
        first.append(until(socket, "end"))
        send(socket, "reset")
    assert text_of(first[0]) == text_of(first[1])
    assert first[1][-1]["stats"]["cached_tokens"] == 0


def test_whoever_hangs_up_frees_the_place(server, monkeypatch, idle):
    slow_down(server.service, monkeypatch)
    with dial(server) as socket:
        send(socket, "message", content="hello", outputs=ALL, seed=0)
        until(socket, "segment.start")
    assert idle()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("{", "a \"type\" of message"),
        ("[" * 10**5, "a \"type\" of message"),
        ("[]", "a \"type\" of message"),
        ('{"type": "sing"}', "a \"type\" of message"),
        ('{"type": "message"}', "text or parts"),
        ('{"type": "message", "content": "hi", "outputs": ["smell"]}', "expected outputs"),
        ('{"type": "message", "content": "hi", "options": {"nonsense": 1}}', "expected an option"),
        ('{"type": "message", "content": "hi", "options": 3}', "options as an object"),
        ('{"type": "message", "content": "hi", "seed": "x"}', "expected a seed"),
        ('{"type": "audio", "sample_rate": 3}', "sample_rate of 8000"),
        ('{"type": "commit"}', "expected a recording"),
    ],
)  # fmt: skip
def test_bad_messages_get_an_error_and_the_conversation_goes_on(socket, message, expected):
    socket.send(message)
    error = until(socket, "error")[-1]["error"]
    assert expected in error["message"]
    assert error["code"] == 400
    send(socket, "message", content="hello", seed=0)
    assert until(socket, "end", "error")[-1]["type"] == "end"


def test_recordings_are_bounded(socket):
    send(socket, "audio", sample_rate=8000)
    socket.send(bytes(961_000))
    assert "at most 60 seconds" in until(socket, "error")[-1]["error"]["message"]


def test_so_many_may_talk(omni):
    server = Server(omni, sessions=1)
    try:
        with dial(server) as socket:
            with pytest.raises(InvalidStatus, match="403"), dial(server):
                pass
            send(socket, "message", content="hello", seed=0)
            assert until(socket, "end")
        assert eventually(lambda: _answers(server)), "whoever hung up kept the place"
    finally:
        server.stop()


def _answers(server):
    try:
        with dial(server) as socket:
            send(socket, "message", content="hello", seed=0)
            return until(socket, "end")
    except InvalidStatus:
        return None


def test_the_key_is_asked_for(server):
    with pytest.raises(InvalidStatus, match="403"), dial(server, "wrong"):
        pass
