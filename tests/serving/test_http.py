"""The server as programs see it: the official `openai` client, and raw HTTP for what it would not send."""

import base64
import json
import threading
import time
from io import BytesIO

import numpy as np
import openai
import pytest
from PIL import Image

from ar_omni.media import Audio
from tests.serving.conftest import HELLO, Server, request

ALL = ["text", "audio", "image"]


def encoded(save) -> str:
    file = BytesIO()
    save(file)
    return base64.b64encode(file.getvalue()).decode()


@pytest.fixture(scope="session")
def wav(tone, tmp_path_factory):
    path = tmp_path_factory.mktemp("audio") / "tone.wav"
    tone.save(path)
    return path


@pytest.fixture(scope="session")
def media_messages(wav, picture):
    audio = base64.b64encode(wav.read_bytes()).decode()
    url = "data:image/png;base64," + encoded(lambda file: picture.save(file, "png"))
    parts = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "input_audio", "input_audio": {"data": audio, "format": "wav"}},
    ]
    return [{"role": "user", "content": parts}]


def ours(omni, wav, picture, **kwargs):
    parts = [{"type": "image", "image": picture}, {"type": "audio", "audio": Audio.load(wav)}]
    return omni.generate([{"role": "user", "content": parts}], task="chat", **kwargs)


def pixels(data: str) -> bytes:
    return Image.open(BytesIO(base64.b64decode(data.split(",")[-1]))).convert("RGB").tobytes()


def test_models(client):
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").owned_by == "ar-omni"
    with pytest.raises(openai.NotFoundError, match="expected the model 'tiny', got 'gpt-9'"):
        client.models.retrieve("gpt-9")


def test_chat_is_generate(omni, client, wav, picture, media_messages):
    expected = ours(omni, wav, picture, outputs=("text", "speech", "image"), seed=4)
    got = client.chat.completions.create(
        model="tiny",
        messages=media_messages,
        modalities=ALL,
        seed=4,
        audio={"voice": "any", "format": "wav"},
    )
    message = got.choices[0].message
    assert message.content == expected.text
    assert message.transcript == expected.transcript
    heard = Audio.load(BytesIO(base64.b64decode(message.audio.data)))
    assert np.abs(heard.samples - expected.audio.samples.clip(-1, 1)).max() < 1e-4
    images = getattr(message, "images", [])
    assert [pixels(part["image_url"]["url"]) for part in images] == [i.tobytes() for i in expected.images]
    assert got.usage.completion_tokens == expected.stats.new_tokens
    assert got.choices[0].finish_reason in ("stop", "length")


def test_chat_streams_what_it_collects(omni, client, wav, picture, media_messages):
    expected = ours(omni, wav, picture, outputs=("text", "speech"), seed=5)
    text, heard, speech, chunks = "", "", b"", []
    for chunk in client.chat.completions.create(
        model="tiny",
        messages=media_messages,
        modalities=["text", "audio"],
        audio={"voice": "any", "format": "pcm16"},
        seed=5,
        stream=True,
        stream_options={"include_usage": True},
    ):
        chunks.append(chunk)
        if chunk.choices:
            delta = chunk.choices[0].delta
            text += delta.content or ""
            heard += getattr(delta, "transcript", "")
            if getattr(delta, "audio", None):
                speech += base64.b64decode(delta.audio.data)
    assert (text, heard) == (expected.text, expected.transcript)
    assert len(speech) == 2 * len(expected.audio.samples)
    assert chunks[-1].usage.completion_tokens == expected.stats.new_tokens
    assert chunks[-2].choices[0].finish_reason in ("stop", "length")


def test_conversations_and_temperature(omni, client):
    turns = [("user", "hello"), ("assistant", "what is that?"), ("user", "a red apple")]
    messages = [{"role": role, "content": text} for role, text in turns]
    got = client.chat.completions.create(model="tiny", messages=messages, temperature=0, max_tokens=9)
    expected = omni.generate(messages, strategy="greedy", max_new_tokens=9)
    assert got.choices[0].message.content == expected.text
    other = client.chat.completions.create(
        model="tiny", messages=messages, seed=1, extra_body={"options": {"text": {"limit": 3}}}
    )
    assert other.usage.completion_tokens <= 4


@pytest.mark.parametrize("form", ["wav", "pcm", "flac", "opus", "mp3"])
def test_speech(omni, client, form):
    expected = omni.speak("hello", seed=2)
    with client.audio.speech.with_streaming_response.create(
        model="tiny", voice="any", input="hello", response_format=form, extra_body={"seed": 2}
    ) as response:
        data = b"".join(response.iter_bytes())
    if form == "pcm":
        assert len(data) == 2 * len(expected.samples)
    else:
        assert data[:4] in (b"RIFF", b"fLaC", b"OggS") or data[0] == 0xFF


def test_speech_is_sent_while_it_is_made(server, client, monkeypatch, idle):
    slow_down(server.service, monkeypatch)
    with client.audio.speech.with_streaming_response.create(
        model="tiny", voice="any", input="hello", response_format="pcm", extra_body={"seed": 2}
    ) as response:
        assert response.headers["Transfer-Encoding"] == "chunked"
        assert next(response.iter_bytes())
        assert server.service.engine.load == (1, 0), "the first samples came after the last were made"
    assert idle()


def test_transcription(omni, client, wav):
    expected = omni.transcribe(wav)
    assert client.audio.transcriptions.create(model="tiny", file=wav).text == expected
    text = client.audio.transcriptions.create(model="tiny", file=wav, response_format="text")
    assert text == expected
    events = list(client.audio.transcriptions.create(model="tiny", file=wav, stream=True))
    assert events[-1].text == expected
    assert "".join(event.delta for event in events[:-1]) == expected


def test_images(omni, client):
    got = client.images.generate(model="tiny", prompt="a fox", n=2, extra_body={"seed": 7})
    expected = [omni.draw("a fox", seed=seed).tobytes() for seed in (7, 8)]
    assert [pixels(item.b64_json) for item in got.data] == expected
    styled = client.images.generate(
        prompt="a fox", style="natural", response_format="url", extra_body={"seed": 7}
    )
    assert pixels(styled.data[0].url) == omni.draw("a fox in natural style", seed=7).tobytes()


def test_health_and_metrics(server, client, idle):
    client.images.generate(prompt="a fox")
    assert idle()
    assert json.loads(request(server, "/healthz")[2]) == {"status": "ok", "running": 0, "waiting": 0}
    page = request(server, "/metrics")[2].decode()
    values = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    assert float(values['ar_omni_http_responses_total{path="/v1/images/generations",status="200"}']) >= 1
    assert float(values['ar_omni_replies_total{fate="finished"}']) >= 1
    assert float(values["ar_omni_tokens_total"]) > 0


def test_clients_that_go_away_free_their_place(server, client, idle, monkeypatch):
    before = server.service.engine.counts["cancelled"]
    slow_down(server.service, monkeypatch)
    create = client.chat.completions.create
    stream = create(model="tiny", messages=[HELLO], modalities=ALL, stream=True)
    next(iter(stream))
    stream.close()
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.3).chat.completions.create(
            model="tiny", messages=[HELLO], modalities=ALL
        )
    assert idle()
    assert server.service.engine.counts["cancelled"] == before + 2


def slow_down(service, monkeypatch, seconds=0.03):
    """Every step of the engine takes longer."""
    step = service.engine._step
    monkeypatch.setattr(service.engine, "_step", lambda: (time.sleep(seconds), step()))


def test_too_many_are_sent_away_and_told_when_to_return(omni, monkeypatch):
    server = Server(omni, slots=1, room=1)
    try:
        slow_down(server.service, monkeypatch, 0.05)
        client = server.client()
        create = client.chat.completions.create
        streams = [create(model="tiny", messages=[HELLO], modalities=ALL, stream=True) for _ in range(2)]
        with pytest.raises(openai.RateLimitError) as refused:
            create(model="tiny", messages=[HELLO])
        assert int(refused.value.response.headers["Retry-After"]) >= 1
        with pytest.raises(openai.RateLimitError):
            client.images.generate(prompt="a fox", n=2)
        for stream in streams:
            assert list(stream)[-1].choices[0].finish_reason
    finally:
        server.stop()


def test_stopping_lets_running_replies_end(omni, monkeypatch):
    server = Server(omni)
    slow_down(server.service, monkeypatch)
    expected = omni.generate("hello", task="chat", outputs=("text", "speech"), seed=3)
    stream = server.client().chat.completions.create(
        model="tiny", messages=[HELLO], modalities=["text", "audio"], seed=3, stream=True
    )
    chunks = [next(iter(stream))]
    server.ask_to_stop()
    chunks += list(stream)
    server.stop()
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == expected.text
    assert chunks[-1].choices[0].finish_reason


def test_a_reply_that_takes_too_long_ends_with_an_error(omni, monkeypatch):
    server = Server(omni, reply_s=0.2)
    try:
        slow_down(server.service, monkeypatch, 0.1)
        create = server.client().chat.completions.create
        with pytest.raises(openai.InternalServerError, match=r"more than 0\.2 s"):
            create(model="tiny", messages=[HELLO], modalities=ALL)
        with pytest.raises(openai.APIError, match=r"more than 0\.2 s"):
            list(create(model="tiny", messages=[HELLO], modalities=ALL, stream=True))
    finally:
        server.stop()


def test_answers_are_not_mixed_up(omni, client):
    """Many clients at once; each gets what it gets alone."""
    words = ["hello", "a fox", "what is that?", "a lazy dog", "show me", "jumps"]
    expected = [omni.generate(word, task="chat", outputs=("text", "speech"), seed=i).text
                for i, word in enumerate(words)]  # fmt: skip
    got = [None] * len(words)

    def ask(index):
        stream = client.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": words[index]}],
            modalities=["text", "audio"],
            seed=index,
            stream=True,
        )
        got[index] = "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(words))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == expected
