"""The server under load, and its command from start to SIGTERM."""

import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import openai
import pytest

from tests.serving.conftest import Server

SECONDS = 60
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


@pytest.mark.slow
def test_eight_streams_for_a_minute(omni):
    """No error, no mixed-up answer, bounded memory; one client in four hangs up in the middle."""
    server = Server(omni)
    expected = {
        (word, seed): omni.generate(word, task="chat", outputs=("text", "speech"), seed=seed).text
        for word in WORDS
        for seed in range(2)
    }
    faults, answers, sizes = [], [], []
    stop = time.monotonic() + SECONDS

    def ask(client, rng):
        word, seed = rng.choice(list(expected))
        stream = client.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": word}],
            modalities=["text", "audio"],
            seed=seed,
            stream=True,
        )
        text, done = "", False
        for chunk in stream:
            text += chunk.choices[0].delta.content or ""
            done = chunk.choices[0].finish_reason is not None
            if rng.random() < 0.02:
                stream.close()
                return
        answers.append(done and text == expected[word, seed])

    def work(index):
        rng, client = random.Random(index), server.client()
        while time.monotonic() < stop:
            try:
                ask(client, rng)
            except Exception as error:
                faults.append(error)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(CLIENTS)]
    for thread in threads:
        thread.start()
    while time.monotonic() < stop:
        time.sleep(1)
        sizes.append(resident())
    for thread in threads:
        thread.join()
    server.stop()
    assert not faults
    assert len(answers) > CLIENTS and all(answers)
    assert server.service.engine.load == (0, 0)
    assert server.service.engine.counts["cancelled"] > 0
    assert max(sizes[-10:]) - max(sizes[5:15]) < 100 * 2**20


def test_the_command_serves_until_it_is_told_to_stop(checkpoint, tmp_path):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "ar_omni.cli",
        "serve",
        "--model",
        checkpoint,
        "--port",
        str(port),
        "--json",
    ]
    environment = {**os.environ, "AR_OMNI_API_KEY": "from-the-environment"}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
    try:
        url = f"http://127.0.0.1:{port}"
        state = wait_for(url + "/healthz", process)
        assert state["status"] == "ok"
        client = openai.OpenAI(base_url=url + "/v1", api_key="from-the-environment", max_retries=0)
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
    finally:
        process.kill()
        process.wait()


def wait_for(url, process, seconds=60):
    stop = time.monotonic() + seconds
    while time.monotonic() < stop and process.poll() is None:
        try:
            with urllib.request.urlopen(url) as got:
                return json.load(got)
        except OSError:
            time.sleep(0.1)
    raise AssertionError(process.stderr.read().decode())
