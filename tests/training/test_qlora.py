"""QLoRA: frozen weights in 4 bits, an adapter beside them; without bitsandbytes, one line that says so."""

import json
import sys
from types import SimpleNamespace

import datasets
import pytest
from accelerate import Accelerator

from ar_omni.errors import DependencyError
from ar_omni.modeling import AROmniForCausalLM
from ar_omni.omni import AROmni
from ar_omni.training.arguments import SourceOptions, TuneRecipe
from ar_omni.training.lora import LoraOptions, add_adapter
from ar_omni.training.optimization import LoopOptions
from ar_omni.training.tuning import load_model, tune


@pytest.fixture
def recipe(tmp_path, vocabulary):
    rows = [[vocabulary.bos_id, *range(20, 40), vocabulary.eos_id]] * 8
    datasets.Dataset.from_dict({"input_ids": rows, "labels": rows}).to_parquet(tmp_path / "rows.parquet")
    return TuneRecipe(
        data={"mine": SourceOptions(str(tmp_path / "rows.parquet"))},
        loop=LoopOptions(steps=20, learning_rate=0.02, warmup=1, save_every=5),
        tokens_per_batch=64,
        lora=LoraOptions(rank=4, quantize=True),
    )


def test_without_bitsandbytes_one_line_says_what_to_install(checkpoint, processor, recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(DependencyError, match=r"'bitsandbytes'.*pip install 'ar-omni\[qlora\]'"):
        load_model(checkpoint, processor, recipe)


def test_four_bits_are_asked_for(checkpoint, processor, recipe, monkeypatch):
    asked = {}
    monkeypatch.setitem(sys.modules, "bitsandbytes", SimpleNamespace())
    monkeypatch.setattr("transformers.BitsAndBytesConfig", lambda **options: options)
    monkeypatch.setattr(AROmniForCausalLM, "from_pretrained", lambda folder, **options: asked.update(options))
    load_model(checkpoint, processor, recipe)
    assert asked["quantization_config"]["load_in_4bit"]
    assert asked["quantization_config"]["bnb_4bit_quant_type"] == "nf4"


@pytest.mark.slow
def test_an_adapter_learns_beside_four_bits(make_model, processor, recipe, tmp_path):
    four_bits = pytest.importorskip("bitsandbytes").nn.Linear4bit
    wide = AROmni.from_model(make_model(hidden_size=64, intermediate_size=64), processor)
    wide.save_pretrained(tmp_path / "base")
    model = load_model(tmp_path / "base", processor, recipe)
    assert isinstance(model.model.layers[0].mlp.up_proj, four_bits)
    adapted = add_adapter(model, recipe.lora)

    def save(model, state, step):
        adapted.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)

    tune(adapted.get_base_model(), processor, recipe, tmp_path / "run", Accelerator(cpu=True), save)
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert log[-1]["ntp"] < log[0]["ntp"] / 2
    whole = AROmni.from_pretrained(tmp_path / "base")
    before = whole.generate("hello", seed=0).text
    whole.adapters.load(tmp_path / "adapter")
    assert whole.generate("hello", seed=0).text != before
