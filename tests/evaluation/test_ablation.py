"""The ablation in a very short form: trained, measured, noted, and told with intervals."""

import json
import runpy
import subprocess
import sys
from statistics import NormalDist
from types import SimpleNamespace

import numpy as np
import pytest

from ar_omni.errors import InputError
from ar_omni.evaluation.ablation import Ablation, Notes, interval, table
from ar_omni.media import Audio
from ar_omni.training.arguments import load_recipe

RECIPE = """
recipe: {folder}/nano.yaml
seeds: [0, 1]
variants:
  all: [decoder.norm_position=post]
  plain: ["loss_weights={{}}"]
decodings: {{state machine: {{}}, greedy: {{strategy: greedy}}}}
figures: {{"drawn %": drawn, "TTS, nats": speak loss}}
changes: [loop.keep=1]
"""
NANO = """
decoder: {hidden_size: 128, intermediate_size: 128, num_hidden_layers: 1}
loop: {steps: 99, warmup: 1, save_every: 1}
loss_weights: {describe: {text: 2.0}}
tokens_per_batch: 256
shares: {speak: 1, transcribe: 1, draw: 1}
"""


def test_intervals_are_students():
    assert interval([5.0]) == "5.0"
    assert interval([1.0, 2.0, 3.0]) == "2.0 ± 2.5"  # 4.303 / sqrt(3)
    assert interval([1.0, 2.0, 3.0], digits=3) == "2.000 ± 2.484"
    many = NormalDist(10, 2).samples(4000, seed=0)
    assert interval(many) == "10.0 ± 0.1"


@pytest.fixture
def ablation(tmp_path):
    (tmp_path / "ablation.yaml").write_text(RECIPE.format(folder=tmp_path))
    return load_recipe(tmp_path / "ablation.yaml", Ablation)


def test_differences_are_between_equal_seeds(ablation):
    def row(variant, decoding, seed, drawn):
        figures = {"drawn %": drawn, "TTS, nats": drawn / 10}
        return {"variant": variant, "decoding": decoding, "seed": seed, "figures": figures}

    rows = [row("all", "state machine", seed, 10.0 * seed + 20) for seed in (0, 1)]
    rows += [row("plain", "state machine", seed, 10.0 * seed + 25) for seed in (0, 1)]
    lines = table(ablation, [*rows, row("all", "state machine", 9, 99.0)]).splitlines()
    assert lines[-3] == "| all | state machine | 2 | 25.0 ± 63.5 | 2.500 ± 6.353 |"
    assert lines[-2] == "| all | greedy | 0 | - | - |"
    plain = "30.0 ± 63.5 (5.0 ± 0.0) | 3.000 ± 6.353 (0.500 ± 0.000)"
    assert lines[-1] == f"| plain | state machine | 2 | {plain} |"


def test_notes_survive_a_line_cut_off(tmp_path):
    notes = Notes(tmp_path / "runs.jsonl")
    notes.add({"seed": 1})
    with notes.path.open("a") as file:
        file.write('{"seed": 2')
    assert notes.rows() == [{"seed": 1}]
    notes.add({"seed": 3})
    assert [json.loads(line) for line in notes.path.read_text().splitlines()] == [{"seed": 1}, {"seed": 3}]
    assert notes.rows(seed=3) == [{"seed": 3}]


def test_one_seed_is_refused(ablation):
    with pytest.raises(InputError, match="two seeds"):
        Ablation("x", {"a": []}, {"b": {}}, {"drawn %": "drawn"}, seeds=(0,))
    with pytest.raises(InputError, match="a figure of drawn, named, got 'latency'"):
        Ablation("x", {"a": []}, {"b": {}}, {"x": "latency"}).pick({"drawn": 1.0, "named": 2.0})


def test_the_shipped_recipe_compares_what_the_page_says(pytestconfig):
    ablation = load_recipe(pytestconfig.rootpath / "configs/ablation.yaml", Ablation)
    for variant in ablation.variants:
        load_recipe(pytestconfig.rootpath / ablation.recipe, changes=ablation.changed(variant))
    assert len(list(ablation.runs())) == 15


@pytest.fixture
def data(tokenizers, tmp_path):
    """A tokenized world of two lines and two things."""
    folder = tmp_path / "data"
    folder.mkdir()
    tokenizers.image.save(folder / "image_tokenizer")
    tokenizers.speech.save(folder / "speech_tokenizer")
    concept = {"hexcode": "0", "group": "objects", "tags": [], "gloss": "is a thing"}
    concepts = [{"name": f"thing {index}"} | concept for index in range(2)]
    (folder / "concepts.json").write_text(json.dumps(concepts))
    np.savez_compressed(
        folder / "codes.npz",
        texts=np.array(["hello", "good morning"]),
        voices=np.array(["joe", "joe"]),
        lengths=np.array([8, 16]),
        speech=np.arange(24),
        word_counts=np.array([1, 2]),
        word_ends=np.array([8, 8, 16]),
        pictures=np.zeros((2, 3, tokenizers.image.codes_per_image), np.int16),
    )
    return folder


@pytest.fixture
def script(ablation, data, tmp_path, pytestconfig, monkeypatch):
    """`script(*arguments)`: runs train/ablation.py for trainings of two steps."""
    monkeypatch.setattr("ar_omni.evaluation.heldout.HeldOut", lambda: SimpleNamespace(sentences=["Hello"]))
    monkeypatch.setattr("ar_omni.evaluation.voice.Reader", lambda: lambda text: Audio(np.zeros(9600), 24_000))
    (tmp_path / "nano.yaml").write_text(NANO)
    (tmp_path / "page.md").write_text("before <!-- ablation -->old<!-- ablation --> after")
    root = pytestconfig.rootpath
    command = ["ablation.py", "--recipe", tmp_path / "ablation.yaml", "--layout", root / "configs/nano"]
    command += ["--data", data, "--tokenizers", data, "--work-dir", tmp_path / "runs"]
    command += ["--page", tmp_path / "page.md", "--steps", 2]

    def run():
        monkeypatch.setattr(sys, "argv", list(map(str, command)))
        runpy.run_path(str(root / "train/ablation.py"), run_name="__main__")

    return run


@pytest.mark.slow
def test_in_short(script, tmp_path, monkeypatch):
    trainings, measured = [], []

    def train(command, check):
        trainings.append([value for value in command if "=" in value])
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", command[1:])
            runpy.run_path(command[1], run_name="__main__")

    def probe(omni, world, spoken, limit):
        measured.append(omni.presets["draw"].image.strategy)
        assert (len(world.concepts), [text for text, _ in spoken], limit) == (2, ["hello"], 100)
        return {"drawn": float(len(measured)), "speak loss": 1.0, "named": 2.0}

    monkeypatch.setattr(subprocess, "run", train)
    monkeypatch.setattr("ar_omni.evaluation.probes.probe", probe)
    for _ in range(2):  # again: nothing is left to do
        script()
    assert trainings == [
        ["loop.keep=1", *changes, "loop.steps=2", f"seed={seed}"]
        for seed in (0, 1)
        for changes in (["decoder.norm_position=post"], ["loss_weights={}"])
    ]
    assert measured == ["sample", "greedy", "sample"] * 2
    rows = Notes(tmp_path / "runs/runs.jsonl").rows()
    assert [row["seed"] for row in rows] == [0, 0, 0, 1, 1, 1]
    assert all(row["training"]["step"] == 2 and row["all"]["named"] == 2.0 for row in rows)
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("before <!-- ablation -->\n2 steps. Mean ±")
    assert "| plain | state machine | 2 | 4.5 ±" in page
