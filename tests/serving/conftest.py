"""A server on loopback around the random checkpoint, and the official client for it."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request

import openai
import pytest
import uvicorn

from ar_omni.serving.http import create_app
from ar_omni.serving.service import Limits, Service

KEY = "a-test-key"
HELLO = {"role": "user", "content": "hello"}


class Server:
    """A running server: `url`, its `service`, and `stop()`."""

    def __init__(self, omni, **limits):
        self.service = Service(omni, "tiny", Limits(**{"body_bytes": 2**20, "grace_s": 10} | limits), KEY)
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        config = uvicorn.Config(create_app(self.service), log_level="warning", timeout_graceful_shutdown=10)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [sock]})
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def client(self, **kwargs):
        return openai.OpenAI(base_url=self.url + "/v1", **{"api_key": KEY, "max_retries": 0} | kwargs)

    def ask_to_stop(self):
        self._server.should_exit = True

    def stop(self):
        self.ask_to_stop()
        self._thread.join()


@pytest.fixture(scope="session")
def server(omni):
    server = Server(omni)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def client(server):
    return server.client()


@pytest.fixture
def idle(server):
    """Waits until nothing runs; returns whether that came true in time."""

    def wait(seconds=10):
        stop = time.monotonic() + seconds
        while server.service.engine.load != (0, 0) and time.monotonic() < stop:
            time.sleep(0.01)
        return server.service.engine.load == (0, 0)

    return wait


def request(server, path, body=None, key=KEY, **headers):
    """(status, headers, content) of a plain request."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"} | headers
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(server.url + path, data, headers)) as got:
            return got.status, got.headers, got.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()
