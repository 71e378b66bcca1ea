"""The server under load, and its command from start to SIGTERM."""

import base64
import json
import os
import random
import resource
import signal
import threading
import time
from dataclasses import dataclass, field

import numpy as np
import openai
import pytest

from ar_omni import AROmni
from tests.serving.commands import fetch, running
from tests.serving.conftest import Server

SECONDS = {"tiny": 60, "nano": 10}
"""For how long each model is asked; `AR_OMNI_LOAD_SECONDS` says otherwise."""
CLIENTS = 8
WORDS = [
    "hello",
    "a fox",
    "what is that?",
    "a lazy dog",
    "show me",
    "jumps",
    "a red apple",
    "the quick brown",
]


def resident() -> int:
    """Bytes of memory that this process has now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@dataclass
class Tally:
    """What the clients of a load test found."""

    faults: list = field(default_factory=list)
    whole: list = field(default_factory=list)
    """For each answer that was read to its end, whether it is what the client would get alone."""
    left: int = 0


@pytest.mark.slow
@pytest.mark.parametrize("name", SECONDS)
def test_eight_streams_at_once(name, request):
    """No error, no mixed-up answer, bounded memory; one answer in four is left in the middle."""
    omni = request.getfixturevalue("omni") if name == "tiny" else AROmni.from_pretrained()
    alone = {
        (word, seed): omni.generate(word, task="chat", outputs=("text", "speech"), seed=seed)
        for seed, word in enumerate(WORDS)
    }
    server, tally, sizes = Server(omni), Tally(), []
    stop = time.monotonic() + float(os.environ.get("AR_OMNI_LOAD_SECONDS", SECONDS[name]))

    def work(index):
        rng, client = random.Random(index), server.client()
        while time.monotonic() < stop:
            try:
                ask(client, *rng.choice(list(alone.items())), rng.random() < 0.25, tally)
            except Exception as error:
                tally.faults.append(error)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(CLIENTS)]
    for thread in threads:
        thread.start()
    while time.monotonic() < stop:
        time.sleep(0.5)
        sizes.append(resident())
    for thread in threads:
        thread.join()
    engine, patience = server.service.engine, time.monotonic() + 10
    while engine.load != (0, 0) and time.monotonic() < patience:
        time.sleep(0.05)
    load, counts = engine.load, engine.counts
    server.stop()
    assert not tally.faults
    assert tally.whole and all(tally.whole)
    assert load == (0, 0), "whoever left kept a slot"
    assert counts["started"] == counts["finished"] + counts["cancelled"] >= len(tally.whole) + tally.left
    assert counts["cancelled"] > 0
    half = len(sizes) // 2
    assert max(sizes[half:]) - max(sizes[:half]) < 100 * 2**20


def ask(client, question, alone, leaves, tally):
    """Ask for text and speech, and compare, or leave after the first words."""
    word, seed = question
    stream = client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": word}],
        modalities=["text", "audio"],
        audio={"voice": "any", "format": "pcm16"},
        seed=seed,
        stream=True,
    )
    text, speech, done = "", b"", False
    for chunk in stream:
        choice = chunk.choices[0]
        text, done = text + (choice.delta.content or ""), choice.finish_reason is not None
        if audio := getattr(choice.delta, "audio", None):
            speech += base64.b64decode(audio.data)
        if leaves and text:
            stream.close()
            tally.left += 1
            return
    heard = np.frombuffer(speech, "<i2") / 2**15
    same = alone.audio is None or np.abs(heard - alone.audio.samples.clip(-1, 1)).max() < 1e-4
    tally.whole.append(done and text == alone.text and bool(same))


def test_the_command_serves_until_it_is_told_to_stop(checkpoint, tmp_path):
    command = running("serve", "--model", checkpoint, "--json", cwd=tmp_path, AR_OMNI_API_KEY="a-key")
    with command as (url, process):
        assert json.loads(fetch(url + "/healthz"))["status"] == "ok"
        client = openai.OpenAI(base_url=url + "/v1", api_key="a-key", max_retries=0)
        assert client.models.list().data[0].id == checkpoint.name
        hello = [{"role": "user", "content": "hello"}]
        stream = client.chat.completions.create(
            model=checkpoint.name, messages=hello, modalities=["text", "audio", "image"], stream=True
        )
        next(iter(stream))
        process.send_signal(signal.SIGTERM)
        assert list(stream)[-1].choices[0].finish_reason, "the running reply was cut off"
        process.wait(30)
        assert "Traceback" not in process.stderr.read().decode()
        assert list(tmp_path.iterdir()) == []
