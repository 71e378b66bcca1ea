"""The scripts, from jsonl to a checkpoint or an adapter that talks, in this process."""

import json

import datasets
import pytest

from ar_omni.omni import AROmni

RECIPE = """
model: {model}
data: {{mine: {{shards: "{folder}/shards/*.parquet", share: 1}}}}
loop: {{steps: 3, save_every: 2, warmup: 1, learning_rate: 0.01, schedule: cosine, ema: 0.5}}
tokens_per_batch: 64
lora: {{rank: 2, rows: [speech, controls]}}
held_out: "{folder}/shards/*.parquet"
samples:
  - {{task: speak, text: hello}}
  - {{task: draw, text: a fox}}
  - {{task: describe, image: {folder}/a.png}}
"""


@pytest.fixture
def recipe(script, checkpoint, tmp_path, tone, picture, capsys):
    tone.save(tmp_path / "a.wav")
    picture.save(tmp_path / "a.png")
    parts = [{"type": "audio", "audio": "a.wav"}, {"type": "image", "image": "a.png"}]
    with (tmp_path / "mine.jsonl").open("w") as lines:
        for task, part in (("speak", parts[0]), ("draw", parts[1])) * 4:
            turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": [part]}]
            lines.write(json.dumps({"task": task, "messages": turns}) + "\n")
        lines.write("nonsense\n")
    out = tmp_path / "shards"
    script("tokenize_data.py", tmp_path / "mine.jsonl", "--out", out, "--model", checkpoint)
    assert "mine.jsonl:9: expected a json object" in capsys.readouterr().out
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(model=checkpoint, folder=tmp_path))
    return path


def figures(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def samples(folder):
    return sorted(path.name for path in (folder / "samples/00000003").iterdir())


def test_finetune_writes_a_checkpoint_that_talks(script, recipe, tmp_path):
    script("finetune.py", "--recipe", recipe, "--work-dir", tmp_path / "run")
    omni = AROmni.from_pretrained(tmp_path / "run/model")
    assert omni.speak("hello", seed=0) == AROmni.from_pretrained(tmp_path / "run/model").speak(
        "hello", seed=0
    )
    assert [row["step"] for row in figures(tmp_path / "run")] == [2, 3]
    assert "held_out_ntp" in figures(tmp_path / "run")[0]
    assert {"00.wav", "01.png"} <= set(samples(tmp_path / "run"))


def test_lora_writes_an_adapter_and_merges_it(script, recipe, checkpoint, tmp_path, capsys):
    script("lora.py", "--recipe", recipe, "--work-dir", tmp_path / "run", "--merge")
    assert "parameters are trained" in capsys.readouterr().out
    omni = AROmni.from_pretrained(checkpoint)
    omni.adapters.load(tmp_path / "run/adapter")
    merged = AROmni.from_pretrained(tmp_path / "run/merged")
    assert merged.speak("hello", seed=0) == omni.speak("hello", seed=0)
    assert {"00.wav", "01.png"} <= set(samples(tmp_path / "run"))


DAMAGES = {
    "make it again": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "at their place": lambda path: publish(path, [[0, 20]], [[-100, 10**6]]),
    "another vocabulary": lambda path: publish(path, [[0, 10**6]], [[-100, 10**6]]),
    "got another in": lambda path: path.with_name("shards.json").write_text('{"vocabulary": {}}'),
}
"""What the one line says -> what was done to the data between two runs."""


def publish(path, ids, labels):
    datasets.Dataset.from_dict({"input_ids": ids, "labels": labels}).to_parquet(path)


@pytest.mark.parametrize("words", DAMAGES)
def test_damaged_data_ends_in_one_line_and_harms_nothing(script, recipe, tmp_path, words):
    command = ["lora.py", "--recipe", recipe, "--work-dir", tmp_path / "run", "--set", "samples=[]"]
    command += ["held_out=null"]
    script(*command)
    saved = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    DAMAGES[words](tmp_path / "shards/00000.parquet")
    with pytest.raises(SystemExit) as caught:
        script(*command, "loop.steps=9")
    assert words in caught.value.code and "\n" not in caught.value.code
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == saved


def test_a_wrong_recipe_ends_in_one_line(script, recipe):
    recipe.write_text(recipe.read_text().replace("warmup", "warmap"))
    with pytest.raises(SystemExit) as caught:
        script("lora.py", "--recipe", recipe, "--work-dir", recipe.parent / "run")
    assert str(caught.value.code).startswith("lora.py: unknown key 'warmap'")
    assert "did you mean warmup?" in caught.value.code
