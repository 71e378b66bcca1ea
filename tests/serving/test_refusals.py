"""What the server refuses: a 4xx with one line of json, whatever is sent."""

import json
import urllib.error
import urllib.request

import openai
import pytest

from tests.serving.conftest import HELLO, KEY, request


def parts(*content):
    return {"messages": [{"role": "user", "content": list(content)}]}


CHAT = "/v1/chat/completions"
BAD = [
    (CHAT, b"{", 400, "JSON"),
    (CHAT, [], 400, "dictionary"),
    (CHAT, {"messages": []}, 400, "at least 1"),
    (CHAT, {"messages": [HELLO], "model": "gpt-9"}, 404, "expected the model 'tiny'"),
    (CHAT, {"messages": [HELLO], "n": 3}, 400, "n:"),
    (CHAT, {"messages": [HELLO], "temperature": -1}, 400, "temperature"),
    (CHAT, {"messages": [HELLO], "tools": [{}]}, 400, "no 'tools'"),
    (CHAT, {"messages": [HELLO], "modalities": ["smell"]}, 400, "expected modalities"),
    (CHAT, {"messages": [HELLO], "audio": {"format": "aac"}}, 400, "expected an audio format"),
    (CHAT, {"messages": [HELLO], "options": {"nonsense": 1}}, 400, "expected an option"),
    (CHAT, {"messages": [HELLO], "options": {"text": 1}}, 400, "dict of options"),
    (CHAT, {"messages": [HELLO], "options": {"text": {"temperature": "hot"}}}, 400, "temperature to be a"),
    (CHAT, {"messages": [HELLO], "options": {"text": {"limit": 1.5}}}, 400, "limit to be an integer"),
    (CHAT, {"messages": [HELLO], "seed": 2**70}, 400, "expected a seed"),
    (CHAT, b'{"messages": ' + b"[" * 10**5 + b"]" * 10**5 + b"}", 400, "parsing the body"),
    (CHAT, {"messages": [{"role": "system", "content": "be kind"}]}, 400, "'system'"),
    (CHAT, parts(), 400, "text or parts"),
    (CHAT, parts({"type": "video"}), 400, "'video'"),
    (CHAT, parts({"type": "text", "text": ""}), 400, "some text"),
    (CHAT, parts({"type": "image_url", "image_url": "file:///etc/passwd"}), 400, "fetches nothing"),
    (CHAT, parts({"type": "input_audio", "input_audio": {"data": "?"}}), 400, "base64"),
    (CHAT, parts({"type": "input_audio", "input_audio": {"data": "AAAA"}}), 400, "expected a wav"),
    (CHAT, {"messages": [HELLO], "pad": "x" * 2**20}, 413, "at most 1 MB"),
    ("/v1/audio/speech", {"input": "  "}, 400, "expected some text"),
    ("/v1/audio/speech", {"input": "hi", "speed": 2}, 400, "speed"),
    ("/v1/images/generations", {"prompt": "hi", "size": "1024x1024"}, 400, "expected a size"),
    ("/v1/images/generations", {"prompt": "hi", "n": 100}, 400, "n:"),
    ("/v1/images/generations", {"prompt": "", "n": 2}, 400, "some text"),
    ("/v1/images/generations", {"prompt": "x" * 10**5}, 400, "at most 510 ids"),
    ("/v1/audio/transcriptions", {"file": "no"}, 400, "file"),
    ("/v1/nothing", {}, 404, "Not Found"),
    ("/v1/models", {}, 405, "Not Allowed"),
]


@pytest.mark.parametrize(("path", "body", "status", "message"), BAD)
def test_bad_requests_get_a_json_error(server, path, body, status, message):
    got, _, content = request(server, path, body)
    error = json.loads(content)["error"]
    assert (got, error["code"]) == (status, status)
    assert message in error["message"]
    assert set(error) == {"message", "type", "param", "code"}


def test_a_body_without_a_length_is_bounded(server):
    pieces = iter([b"x" * 2**18] * 8)
    headers = {"Authorization": f"Bearer {KEY}", "Transfer-Encoding": "chunked"}
    with pytest.raises(urllib.error.HTTPError, match="413"):
        urllib.request.urlopen(urllib.request.Request(server.url + CHAT, pieces, headers))


def test_the_key_is_asked_for(server):
    for key in ("", "wrong"):
        status, headers, content = request(server, "/v1/models", key=key)
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
        assert json.loads(content)["error"]["type"] == "authentication_error"
        with pytest.raises(openai.AuthenticationError):
            server.client(api_key=key or "none").models.list()
    assert request(server, "/healthz", key="")[0] == 200
