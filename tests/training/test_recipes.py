"""Recipes: every shipped one loads, and a wrong key or value is named."""

import re
import sys

import pytest

from ar_omni.errors import InputError
from ar_omni.training.arguments import Recipe, TuneRecipe, load_recipe, one_line_errors

SHIPPED = {"nano": Recipe, "paper_pretrain": TuneRecipe, "paper_sft": TuneRecipe, "lora": TuneRecipe}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_load(pytestconfig, name):
    path = pytestconfig.rootpath / f"configs/{name}.yaml"
    recipe = load_recipe(path, SHIPPED[name])
    assert recipe.loop.steps > 0
    assert path.read_text().startswith(("# torchrun", "# accelerate launch", "# python"))


def test_every_recipe_is_tested(pytestconfig):
    assert {path.stem for path in (pytestconfig.rootpath / "configs").glob("*.yaml")} == {
        *SHIPPED,
        "ablation",
    }


def test_the_papers_numbers(pytestconfig):
    recipes = [
        load_recipe(pytestconfig.rootpath / f"configs/paper_{name}.yaml", TuneRecipe)
        for name in ("pretrain", "sft")
    ]
    found = [
        (
            r.loop.steps,
            r.loop.learning_rate,
            r.loop.schedule,
            r.loop.warmup / r.loop.steps,
            r.loop.clip,
            r.max_length,
        )
        for r in recipes
    ]
    assert found == [(140_000, 6e-5, "linear", 0.05, 1.0, 1300), (18_000, 2e-5, "linear", 0.05, 1.0, 3456)]
    assert [recipe.tokens_per_batch for recipe in recipes] == [480 * 1300, 64 * 3456]
    assert [source.share for source in recipes[0].data.values()] == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lop: {steps: 3}", "did you mean loop"),
        ("loop: {steps: 3, lerning_rate: 1}", "did you mean learning_rate"),
        ("loop: {steps: 3}\ndata: {a: {shard: x}}", "did you mean shards"),
        ("loop: {steps: 3, learning_rate: 6e-5}\ndata: {}", "a number such as 6.0e-05"),
        ("loop: {steps: many}\ndata: {}", "a number such as 100"),
        ("loop: {steps: 3}", "missing 1 required"),
        ("loop: {steps: 3, schedule: step}\ndata: {}", "constant, linear, cosine"),
        ("loop: [", "expected a yaml recipe"),
        ("- 1", "a mapping"),
        ("loop: {steps: 3}\ndata: {}\nlora: {rows: [sound]}", "controls, got sound"),
    ],
)
def test_wrong_recipes_teach(tmp_path, text, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_recipe(path, TuneRecipe)


def test_changes_from_the_command_line(pytestconfig):
    path = pytestconfig.rootpath / "configs/lora.yaml"
    recipe = load_recipe(
        path, TuneRecipe, ["loop.steps=3", "data.mine.share=2", "lora.rows=[image, text]", "seed=4"]
    )
    assert (recipe.loop.steps, recipe.data["mine"].share, recipe.seed) == (3, 2, 4)
    assert recipe.lora.rows == ["image", "text"]
    for change, message in {
        "loop.step=3": "did you mean steps",
        "loop.steps": "a change such as",
        "loop.steps.a=1": "a change such as",
        "seed=[": "a yaml value",
    }.items():
        with pytest.raises(InputError, match=message):
            load_recipe(path, TuneRecipe, [change])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("expected this,\n got that"), "lora.py: expected this, got that"),
        (
            OSError(28, "No space left on device", "a.png"),
            "lora.py: .*room to write.*'a.png'; .*start again.*",
        ),
    ],
)
def test_scripts_fail_in_one_line(monkeypatch, error, line):
    def refuse():
        raise error

    monkeypatch.setattr(sys, "argv", ["train/lora.py"])
    with pytest.raises(SystemExit) as caught:
        one_line_errors(refuse)()
    assert re.fullmatch(line, caught.value.code)
