"""What the page fetches beside Gradio, who may, and how much may be sent."""

from io import BytesIO

import numpy as np
import pytest
import soundfile
from PIL import Image

from ar_omni.app.rendering import address, status
from ar_omni.app.turns import Turn
from ar_omni.app.visitors import Visitors
from tests.app.test_conversation import last, text

pytest.importorskip("gradio")
from fastapi.testclient import TestClient

from ar_omni import cli
from ar_omni.app.command import create_app


@pytest.fixture
def visitors(models):
    return Visitors(models)


@pytest.fixture
def client(visitors):
    return TestClient(create_app(visitors, upload_bytes=2**20))


def test_media_of_a_turn(client, visitors, tone, picture):
    conversation = visitors.enter("a", "page")
    media = [{"type": "image", "image": picture}, {"type": "audio", "audio": tone}]
    turn = last(conversation.send(media, outputs=("image", "speech"), seed=1))

    def get(name):
        return client.get("/" + address(conversation.id, turn, name))

    pcm = np.frombuffer(get("speech.f32").content, "<f4")
    assert np.array_equal(pcm, turn.speech.audio.samples)
    samples, rate = soundfile.read(BytesIO(get(f"speech-{len(pcm)}.wav").content))
    assert (len(samples), rate) == (len(pcm), turn.speech.sample_rate)
    assert np.abs(samples - pcm).max() < 1e-4
    assert Image.open(BytesIO(get("picture-whole.png").content)).tobytes() == turn.picture.tobytes()
    assert Image.open(BytesIO(get("asked-0.png").content)).size == picture.size
    assert soundfile.info(BytesIO(get("asked-1.wav").content)).frames == len(tone.samples)
    for name in ("asked-0.wav", "asked-7.png", "asked-1.png", "other.png"):
        assert get(name).status_code == 404


def test_what_is_nobodys_is_not_found(client, visitors):
    conversation = visitors.enter("a", "page")
    turn = last(conversation.send(text("hello"), seed=1))
    for path in (
        f"/media/nobody/{turn.id}/speech.f32",
        f"/media/{conversation.id}/nothing/speech.f32",
        address(conversation.id, turn, "picture-whole.png"),
        address(conversation.id, turn, "speech-1.wav"),
        "/media/nobody/conversation.zip",
    ):
        assert client.get(path).status_code == 404, path


def test_requests_are_bounded(client):
    assert client.get("/").status_code == 200
    answer = client.post("/gradio_api/upload", files={"files": ("a.png", bytes(2**20 + 1))})
    assert answer.status_code == 413
    assert "at most 1 MB" in answer.json()["error"]["message"]


def test_the_page_asks_who_is_there(visitors):
    client = TestClient(create_app(visitors, logins=[("ann", "secret")]))
    assert client.get("/config").status_code == 401
    assert client.post("/login", data={"username": "ann", "password": "wrong"}).status_code == 400
    assert client.post("/login", data={"username": "ann", "password": "secret"}).status_code == 200
    assert client.get("/config").status_code == 200


def test_the_page_names_nothing_elsewhere(client):
    config = client.get("/config").json()
    assert config["analytics_enabled"] is False
    assert config["footer_links"] == []
    assert not [sheet for sheet in config.get("stylesheets") or [] if "//" in sheet]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--auth", "ann"], "expected --auth NAME:PASSWORD"),
        (["--models", "nowhere"], "expected a folder of models"),
    ],
)
def test_flags_that_cannot_be(flags, expected, capsys):
    assert cli.main(["app", *flags]) == 2
    assert expected in capsys.readouterr().err


def test_whoever_waits_is_told_their_place():
    turn = Turn([], {})
    for place, expected in ((2, "2 ahead of you"), (0, "you are next")):
        turn.place = place
        assert expected in status(turn)
    turn.place = None
    assert status(turn) == status(None) == ""
