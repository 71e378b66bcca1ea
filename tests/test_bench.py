"""`ar-omni bench` on a small checkpoint: each figure is there, and is what it says."""

import json

import pytest

from ar_omni import AROmni, bench, cli
from ar_omni.bench import Speed
from ar_omni.errors import UnsupportedOutputError

OURS = ["reading", "decoding", "first speech after", "real-time factor of speech", "a picture"]
STOCK = ["generate(): reading", "generate(): decoding"]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(bench, "ROUNDS", 2)


def test_every_figure_is_printed_when_it_is_there(checkpoint, capsys, quick):
    assert cli.main(["bench", "--model", str(checkpoint)]) == 0
    settings, *lines = capsys.readouterr().out.splitlines()
    assert "threads" in settings and "torch" in settings and "dtype float32" in settings
    for line, start in zip(lines, ["loading", *OURS, *STOCK], strict=True):
        assert line.startswith(start)


def test_json(checkpoint, capsys, quick):
    assert cli.main(["bench", "--model", str(checkpoint), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)["figures"]
    assert all(0 < row["low"] <= row["value"] <= row["high"] for row in figures)


def test_both_read_the_same_prompt_and_give_as_many_ids(checkpoint, monkeypatch):
    omni = AROmni.from_pretrained(checkpoint)
    codes = omni.processor.template.codes_per_image
    prompt = bench._prompt(omni, 40)
    assert len(prompt) == 40
    assert bench._ours(omni, prompt, 0)[2] == codes - 1
    asked = []
    generate = omni.model.generate

    def counted(ids, **options):
        found = generate(ids, **options)
        asked.append((ids[0].tolist(), found.shape[1] - ids.shape[1]))
        return found

    monkeypatch.setattr(omni.model, "generate", counted)
    assert bench._stock(omni, prompt, codes)()[2] == codes - 1
    assert asked == [(prompt, 1), (prompt, codes)]


def test_media_that_a_checkpoint_does_not_give_are_left_out(checkpoint, monkeypatch):
    omni = AROmni.from_pretrained(checkpoint)

    def refuse(*_, **__):
        raise UnsupportedOutputError("no")

    monkeypatch.setattr(omni, "generate", refuse)
    names = [speed.name for speed in bench.measure(omni, rounds=1)]
    assert [name.split(" ")[0] for name in names] == ["reading", "decoding", "generate():", "generate():"]


def test_a_line_has_the_median_and_the_range():
    assert (
        str(Speed.of("a picture", "s", [0.5, 0.25, 0.75])).split()
        == "a picture 0.500 s (0.250 to 0.750)".split()
    )
    assert "1,234 ids/s" in str(Speed.of("reading", "ids/s", [1234.4, 1200.0, 1300.0]))
