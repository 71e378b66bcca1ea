"""The ablation in a very short form: trained, measured, noted, and told with intervals."""

import json
import runpy
import subprocess
import sys
from statistics import NormalDist

import numpy as np
import pytest

from ar_omni.errors import InputError
from ar_omni.evaluation.ablation import Ablation, Notes, interval, table
from ar_omni.training.arguments import load_recipe

RECIPE = """
recipe: {folder}/nano.yaml
seeds: [0, 1]
variants:
  all: [decoder.norm_position=post]
  plain: ["loss_weights={{}}"]
decodings: {{state machine: {{}}, greedy: {{strategy: greedy}}}}
figures: {{WER: tts/WER}}
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
    many = NormalDist(10, 2).samples(4000, seed=0)
    assert interval(many) == "10.0 ± 0.1"


@pytest.fixture
def ablation(tmp_path):
    (tmp_path / "ablation.yaml").write_text(RECIPE.format(folder=tmp_path))
    return load_recipe(tmp_path / "ablation.yaml", Ablation)


def test_differences_are_between_equal_seeds(ablation):
    def row(variant, decoding, seed, wer):
        return {"variant": variant, "decoding": decoding, "seed": seed, "figures": {"WER": wer}}

    rows = [row("all", "state machine", seed, 10.0 * seed + 20) for seed in (0, 1)]
    rows += [row("plain", "state machine", seed, 10.0 * seed + 25) for seed in (0, 1)]
    lines = table(ablation, [*rows, row("all", "state machine", 9, 99.0)]).splitlines()
    assert lines[-3] == "| all | state machine | 2 | 25.0 ± 63.5 |"
    assert lines[-2] == "| all | greedy | 0 | - |"
    assert lines[-1] == "| plain | state machine | 2 | 30.0 ± 63.5 (5.0 ± 0.0) |"


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
        Ablation("x", {"a": []}, {"b": {}}, {"WER": "tts/WER"}, seeds=(0,))
    with pytest.raises(InputError, match="a figure of WER in tts"):
        Ablation("x", {"a": []}, {"b": {}}, {"x": "tts/latency"}).pick(
            {"suites": {"tts": {"figures": {"WER": 1}}}}
        )


def test_the_shipped_recipe_compares_what_the_page_says(pytestconfig):
    ablation = load_recipe(pytestconfig.rootpath / "configs/ablation.yaml", Ablation)
    for changes in ablation.variants.values():
        load_recipe(pytestconfig.rootpath / ablation.recipe, changes=changes)
    assert len(list(ablation.runs())) == 15
    assert ablation.suites == ["tts", "asr", "draw", "describe"]


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


@pytest.mark.slow
def test_in_short(ablation, data, tmp_path, pytestconfig, monkeypatch):
    trainings, measured = [], []

    def train(command, check):
        trainings.append([value for value in command if "=" in value])
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", command[1:])
            runpy.run_path(command[1], run_name="__main__")

    def evaluate(omni, suites, limit):
        measured.append(omni.presets["draw"].image.strategy)
        return {"suites": {"tts": {"figures": {"WER": {"value": float(len(measured))}}}}}

    monkeypatch.setattr(subprocess, "run", train)
    monkeypatch.setattr("ar_omni.evaluation.run.evaluate", evaluate)
    (tmp_path / "nano.yaml").write_text(NANO)
    page = tmp_path / "page.md"
    page.write_text("before <!-- ablation -->old<!-- ablation --> after")
    root = pytestconfig.rootpath
    command = ["ablation.py", "--recipe", tmp_path / "ablation.yaml", "--layout", root / "configs/nano"]
    command += ["--data", data, "--work-dir", tmp_path / "runs", "--page", page]
    command += ["--steps", 2, "--processes", 1]
    for _ in range(2):  # again: nothing is left to do
        monkeypatch.setattr(sys, "argv", list(map(str, command)))
        runpy.run_path(str(root / "train/ablation.py"), run_name="__main__")
    assert trainings == [
        [*changes, "loop.steps=2", f"seed={seed}"]
        for seed in (0, 1)
        for changes in (["decoder.norm_position=post"], ["loss_weights={}"])
    ]
    assert measured == ["sample", "greedy", "sample"] * 2
    rows = Notes(tmp_path / "runs/runs.jsonl").rows()
    assert [row["seed"] for row in rows] == [0, 0, 0, 1, 1, 1]
    assert all(row["training"]["step"] == 2 for row in rows)
    assert page.read_text().startswith("before <!-- ablation -->\n2 steps. Mean ±")
    assert "| plain | state machine | 2 | 4.5 ±" in page.read_text()
