"""`ar-omni data inspect`: rows as text with their weights, and a page with their pictures and speech."""

import json
from argparse import Namespace

import datasets
import pytest

from ar_omni.inspection import described, main


@pytest.fixture
def shard(processor, tmp_path):
    picture = {"type": "image", "codes": [3] * processor.template.codes_per_image}
    reply = [{"type": "text", "text": "a fox"}, picture, {"type": "audio", "codes": list(range(20))}]
    talk = [{"role": "user", "content": "hello <b>"}, {"role": "assistant", "content": reply}]
    example = processor.encode_example(talk, "chat")
    row = {"task": ["chat"], "line": [7], "input_ids": [example.input_ids], "roles": [example.roles]}
    path = tmp_path / "rows.parquet"
    datasets.Dataset.from_dict(row).to_parquet(path)
    return path


def arguments(shard, checkpoint, **changes):
    defaults = {"json": False, "html": None, "recipe": None, "rows": 5}
    return Namespace(**{"shard": str(shard), "model": str(checkpoint)} | defaults | changes)


def test_rows_are_told_with_their_weights(shard, checkpoint, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: {}\nloop: {steps: 1}\nloss_weights: {chat: {prompt: 0.0, text: 2.0}}")
    found = main(arguments(shard, checkpoint, recipe=recipe))
    parts = [
        {"weight": 0.0, "text": "<bos>hello <b><eoh>"},
        {"weight": 2.0, "text": "a fox"},
        {"weight": 1.0, "text": "<boi>[picture: 9 codes]<eoi><boa>[speech: 0.50 s]<eoa><eom>"},
    ]
    assert found["shown"][0]["parts"] == parts
    assert "row 0: chat, line 7, " in capsys.readouterr().out
    json.dumps(found)


def test_the_page_shows_pictures_and_speech(shard, checkpoint, tmp_path):
    main(arguments(shard, checkpoint, html=str(tmp_path / "page.html"), json=True))
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert page.count("data:audio/wav;base64,") == 1
    assert "hello &lt;b&gt;" in page


def test_a_cut_picture_is_told_as_codes(processor):
    ids = [processor.vocabulary.boi_id, processor.vocabulary.image.start]
    assert [part["text"] for part in described((ids, [1.0, 1.0]), processor)] == ["<boi>[picture: 1 codes]"]
