"""The plan of a training: parameters counted on meta tensors, and the table in docs/training.md."""

import re
import runpy

import pytest

from ar_omni.configuration import AROmniConfig
from ar_omni.training.plan import Plan, Sizes


def test_sizes_are_those_of_the_model(make_config, make_model):
    config = make_config(tie_word_embeddings=False)
    sizes = Sizes.of(config)
    model = make_model(tie_word_embeddings=False)
    assert sizes.total == sum(parameter.numel() for parameter in model.parameters())
    assert sizes.root + 2 * sizes.layer == sizes.total


def test_seven_billion_on_eight_gpus():
    config = AROmniConfig()
    total = Sizes.of(config).total
    assert total == pytest.approx(7.04e9, rel=0.01)
    plan = Plan(8, 13_000, 624_000, 140_000)
    assert plan.memory(config)["states"] == pytest.approx(2 * total)
    assert plan.days(config) == pytest.approx(8 * total * 624_000 * 140_000 / (8 * 0.4 * 989e12) / 86_400)
    adapter = Plan(8, 13_000, 624_000, 140_000, trained=10**7)
    assert adapter.memory(config)["states"] == pytest.approx(4 * total + 16e7)


def test_the_table_in_the_docs_is_the_computed_one(pytestconfig, capsys):
    runpy.run_path(str(pytestconfig.rootpath / "train/plan.py"), run_name="__main__")
    page = (pytestconfig.rootpath / "docs/training.md").read_text(encoding="utf-8")
    assert re.search(r"plan:begin -->\n(.*?)<!-- plan:end", page, re.S)[1] == capsys.readouterr().out
