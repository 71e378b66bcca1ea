"""Who is here, with which model, and what is kept of them."""

import json
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from ar_omni.app import visitors as crowds
from ar_omni.app.archive import archive
from ar_omni.app.conversation import Conversation
from ar_omni.app.models import BUNDLED_NAME, Choice, Models
from ar_omni.app.rendering import one_turn
from ar_omni.app.visitors import Visitors
from ar_omni.checkpoint import BUNDLED
from ar_omni.errors import InputError
from ar_omni.serving.engine import BusyError
from tests.app.test_conversation import last, text, until_speech


def test_a_page_that_is_loaded_again_finds_its_conversation(models):
    visitors = Visitors(models)
    first = visitors.enter("a", "page 1")
    assert visitors.enter("b", "page 2") is not first
    assert visitors.enter("a", "page 3") is first
    assert visitors.find(first.id) is first
    assert visitors.find("nothing") is None
    assert first.model is visitors.find(first.id).model


def test_a_closed_page_stops_its_reply(models):
    visitors = Visitors(models)
    conversation = visitors.enter("a", "page")
    turns = conversation.send(text("hello"), outputs=("speech",), seed=0)
    until_speech(turns)
    assert visitors.here == 1
    visitors.leave("page")
    assert visitors.here == 0
    assert conversation.model.engine.load == (0, 0)
    assert visitors.enter("a", "page again") is conversation


def test_there_is_room_for_so_many(models, monkeypatch):
    visitors = Visitors(models, most=2)
    first, second = visitors.enter("a", "1"), visitors.enter("b", "2")
    with pytest.raises(BusyError, match="2 people"):
        visitors.enter("c", "3")
    visitors.leave("2")
    third = visitors.enter("c", "3")
    assert [visitors.find(one.id) for one in (first, second, third)] == [first, None, third]
    monkeypatch.setattr(crowds, "IDLE_S", 0.0)
    visitors.enter("d", "4")
    assert visitors.find(first.id) is None, "whoever did nothing for longest makes room"


def test_models_below_the_folder_are_offered(models, checkpoint):
    assert list(models.checkpoints) == [checkpoint.name, BUNDLED_NAME, "other"]
    assert models.default == Choice(checkpoint.name)
    assert models.get(Choice("other")) is models.get(Choice("other"))
    for choice in (Choice("../other"), Choice("/etc"), Choice("other", "nothing")):
        with pytest.raises(InputError, match="expected a"):
            models.get(choice)


def test_so_many_models_are_loaded(checkpoint, tmp_path):
    for name in ("x", "y"):
        (tmp_path / name).symlink_to(checkpoint, target_is_directory=True)
    models = Models(checkpoint, tmp_path, most=1)
    visitors = Visitors(models)
    alone, other = visitors.enter("a", "1"), Choice("x")
    with pytest.raises(BusyError, match="in use by others"):
        visitors.choose(alone, other)
    models.close()


def test_whoever_has_left_keeps_no_model_from_others(checkpoint, tmp_path):
    for name in ("x", "y"):
        (tmp_path / name).symlink_to(checkpoint, target_is_directory=True)
    models = Models(checkpoint, tmp_path, most=2)
    visitors = Visitors(models)
    first, second = visitors.enter("a", "1"), visitors.enter("b", "2")
    visitors.choose(first, Choice("x"))
    visitors.leave("1")
    visitors.choose(second, Choice("y"))
    assert visitors.find(first.id) is None and not models.has(Choice("x"))
    assert last(visitors.enter("a", "1").send(text("hello"), seed=0)).stats, "they can come back"
    models.close()


def test_a_given_model_and_the_bundled_one_keep_their_names(checkpoint, tmp_path, monkeypatch):
    given, below = tmp_path / BUNDLED_NAME, tmp_path / "below"
    for place in (given, below / "tiny"):
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(checkpoint, target_is_directory=True)
    models = Models(given, below)
    assert dict(models.checkpoints) == {str(given): given, BUNDLED_NAME: BUNDLED, "tiny": below / "tiny"}
    monkeypatch.chdir(checkpoint)
    assert Models(Path("."), below).default == Choice(checkpoint.name)


def test_another_model_starts_afresh(models):
    visitors = Visitors(models)
    conversation = visitors.enter("a", "1")
    last(conversation.send(text("hello"), seed=0))
    visitors.choose(conversation, Choice("other"))
    assert conversation.turns == [] and conversation.model.choice == Choice("other")
    assert last(conversation.send(text("hello"), seed=0)).stats.cached_tokens == 0


def test_an_adapter_is_put_on_and_taken_off(models, omni, tmp_path):
    peft = pytest.importorskip("peft")
    folder = tmp_path / "adapter"
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    peft.get_peft_model(type(omni.model)(omni.model.config), config).save_pretrained(folder)
    visitors = Visitors(models)
    conversation = visitors.enter("a", "1")
    said = []
    for name in ("none", "adapter", "none"):
        visitors.choose(conversation, Choice(models.default.model, name))
        said.append(last(conversation.send(text("hello"), seed=0)).text)
    assert said[0] == said[2] != said[1]


def test_the_conversation_as_a_file(model, tone, picture):
    conversation = Conversation(model)
    media = [{"type": "image", "image": picture}, {"type": "audio", "audio": tone}]
    last(conversation.send(media, outputs=("image", "speech"), seed=1))
    turn = last(conversation.send(text("hello"), seed=2))
    with zipfile.ZipFile(BytesIO(archive(conversation.turns, model.choice))) as file:
        described = json.loads(file.read("conversation.json"))
        named = {
            part[part["type"]]
            for message in described["messages"]
            for part in message["content"]
            if part["type"] in ("image", "audio")
        }
        assert named == set(file.namelist()) - {"conversation.json"}
        assert all(file.read(name) for name in named)
    assert described["model"] == {"model": "tiny", "adapter": "none"}
    assert [message["role"] for message in described["messages"]] == ["user", "assistant"] * 2
    assert described["messages"][2]["content"] == text("hello")
    assert described["messages"][3]["stats"]["seed"] == 2
    assert described["messages"][3]["content"] == [{"type": "text", "text": turn.text}]


def test_nothing_that_was_written_is_markup(model):
    conversation = Conversation(model)
    evil = '<img src=x onerror="alert(1)"> & "quotes" ${alert(1)} {{this}}'
    html = one_turn(conversation.id, last(conversation.send(text(evil), seed=0)))
    assert "<img" not in html and "&lt;img src=x" in html and 'onerror="' not in html
