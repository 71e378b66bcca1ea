"""LoRA: trained, saved, loaded, merged, saved and loaded again, text, pictures and speech stay the same."""

import random
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from ar_omni.adapters import Adapters
from ar_omni.errors import CheckpointError, InputError
from ar_omni.modeling import AROmniForCausalLM
from ar_omni.omni import AROmni
from ar_omni.training.arguments import SourceOptions, TuneRecipe
from ar_omni.training.lora import LoraOptions, add_adapter, trainable_share
from ar_omni.training.optimization import LoopOptions
from ar_omni.training.tuning import load_model, tune

ROWS = ("speech", "controls")


@pytest.fixture(scope="module")
def shards(processor, tmp_path_factory):
    """Spoken, drawn and written replies of random codes, as published data would hold them."""
    datasets = pytest.importorskip("datasets")
    rng = random.Random(0)
    rows = []
    for text in ("a fox", "a dog", "hello", "what"):
        codes = [rng.randrange(32) for _ in range(12)]
        picture = [rng.randrange(16) for _ in range(processor.template.codes_per_image)]
        reply = [{"type": "text", "text": text}, {"type": "image", "codes": picture}]
        reply += [{"type": "audio", "codes": codes}]
        talk = [{"role": "user", "content": text}, {"role": "assistant", "content": reply}]
        rows.append(processor.encode_example(talk, "chat"))
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    columns = {"input_ids": [row.input_ids for row in rows], "labels": [row.input_ids for row in rows]}
    datasets.Dataset.from_dict(columns).to_parquet(path)
    return path


def recipe(shards, **lora):
    return TuneRecipe(
        data={"mine": SourceOptions(str(shards))},
        loop=LoopOptions(steps=6, learning_rate=0.03, warmup=1, save_every=3),
        tokens_per_batch=120,
        lora=LoraOptions(rank=4, alpha=16, **lora),
        held_out=str(shards),
    )


@pytest.fixture(scope="module")
def adapters(checkpoint, processor, shards, tmp_path_factory):
    """Folders of two trained adapters, and the model in memory that the first belongs to."""
    folders, models = [], []
    for name, rows in (("first", ROWS), ("second", ())):
        folder = tmp_path_factory.mktemp(name)
        options = recipe(shards, rows=rows)
        torch.manual_seed(len(folders))
        adapted = add_adapter(load_model(checkpoint, processor, options), options.lora)
        frozen = {n: p.detach().clone() for n, p in adapted.named_parameters() if not p.requires_grad}

        def save(model, state, step, target=folder / name, adapted=adapted):
            adapted.save_pretrained(target, save_embedding_layers=False)

        tune(adapted.get_base_model(), processor, options, folder, Accelerator(cpu=True), save)
        now = dict(adapted.named_parameters())
        assert all(torch.equal(now[n], value) for n, value in frozen.items())
        folders.append(folder / name)
        models.append(adapted)
    return folders, models[0]


def replies(omni):
    """Everything that a model gives, to compare: text, picture and speech."""
    reply = omni.generate("a fox", outputs=("text", "speech"), seed=3, max_new_tokens=120)
    picture = omni.draw("a dog", seed=3)
    spoken = omni.speak("hello", seed=3)
    return reply.text, np.asarray(picture), reply.audio.samples, spoken.samples


def same(first, second):
    return first[0] == second[0] and all(map(np.array_equal, first[1:], second[1:]))


@pytest.fixture
def talker(checkpoint):
    return AROmni.from_pretrained(checkpoint)


def test_round_trip_of_text_picture_and_speech(talker, adapters, tmp_path):
    (folder, _), trained = adapters
    before = replies(talker)
    talker.adapters.load(folder)
    loaded = replies(talker)
    assert not same(before, loaded)
    assert same(replies(AROmni.from_model(trained.eval(), talker.processor, talker.presets)), loaded)
    talker.adapters.merge()
    assert same(replies(talker), loaded)
    talker.save_pretrained(tmp_path / "merged")
    again = AROmni.from_pretrained(tmp_path / "merged")
    assert same(replies(again), loaded)
    assert type(again.model) is AROmniForCausalLM


def test_switching_never_loads_the_base_again(talker, adapters, monkeypatch):
    (first, second), _ = adapters
    base = talker.draw("a fox", seed=1).tobytes()
    talker.adapters.load(first)
    monkeypatch.setattr(AROmniForCausalLM, "from_pretrained", None)
    of_first = talker.draw("a fox", seed=1).tobytes()
    talker.adapters.load(second, "other")
    of_second = talker.draw("a fox", seed=1).tobytes()
    assert len({base, of_first, of_second}) == 3
    assert (talker.adapters.names, talker.adapters.active) == (("first", "other"), "other")
    for name, expected in (("first", of_first), (None, base), ("other", of_second), ("first", of_first)):
        talker.adapters.use(name)
        assert talker.draw("a fox", seed=1).tobytes() == expected
    talker.adapters.unload()
    assert talker.draw("a fox", seed=1).tobytes() == base
    assert (talker.adapters.names, talker.adapters.active) == ((), None)


def test_saved_again_it_is_the_same_and_small(talker, adapters, checkpoint, tmp_path):
    (folder, _), _ = adapters
    talker.adapters.load(folder)
    talker.adapters.save(tmp_path / "copy")
    files = [path / "adapter_model.safetensors" for path in (folder, tmp_path / "copy")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].stat().st_size < (checkpoint / "model.safetensors").stat().st_size


def test_wrong_adapters_are_refused(talker, adapters, make_model, processor, tmp_path):
    (folder, _), _ = adapters
    wider = AROmni.from_model(make_model(hidden_size=64), processor)
    with pytest.raises(CheckpointError, match="an adapter of this model"):
        wider.adapters.load(folder)
    with pytest.raises(CheckpointError, match="no such file"):
        talker.adapters.load(tmp_path)
    with pytest.raises(InputError, match="expected an active adapter"):
        talker.adapters.merge()
    talker.adapters.load(folder, "mine")
    with pytest.raises(InputError, match="loaded already"):
        talker.adapters.load(folder, "mine")
    with pytest.raises(InputError, match="expected one of mine, got 'none'"):
        talker.adapters.use("none")
    assert isinstance(talker.adapters, Adapters)


def test_the_documented_lines_run(adapters, checkpoint, pytestconfig, tmp_path, monkeypatch):
    page = (pytestconfig.rootpath / "docs/training.md").read_text(encoding="utf-8")
    (folder, _), _ = adapters
    shutil.copytree(folder, tmp_path / "runs/lora/adapter")
    monkeypatch.chdir(tmp_path)
    bundled = SimpleNamespace(from_pretrained=lambda: AROmni.from_pretrained(checkpoint))
    exec(re.search(r"```python\n(.*?)```", page, re.S)[1], {"AROmni": bundled})
    assert (tmp_path / "mine.wav").stat().st_size > 0
    assert AROmni.from_pretrained(tmp_path / "merged").presets


@pytest.mark.parametrize("tied", [True, False])
def test_rows_of_chosen_ids_are_trained_and_no_others(make_model, vocabulary, tied):
    adapted = add_adapter(make_model(tie_word_embeddings=tied), LoraOptions(rank=2, rows=ROWS))
    ids = torch.arange(16, vocabulary.size)[None]
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "token_adapter" in name and value.requires_grad:
                value.add_(1.0)
    merged = adapted.merge_and_unload()
    plain = make_model(tie_word_embeddings=tied)
    changed = (merged.get_input_embeddings().weight != plain.get_input_embeddings().weight).any(1)
    expected = {*vocabulary.specials.values(), *range(vocabulary.speech.start, vocabulary.speech.stop)}
    assert set(changed.nonzero().flatten().tolist()) == expected
    head = (merged.lm_head.weight != plain.lm_head.weight).any(1)
    assert torch.equal(head, changed)
    assert merged(input_ids=ids).logits.isfinite().all()


def test_the_share_is_told(make_model):
    adapted = add_adapter(make_model(), LoraOptions(rank=2, modules=["q_proj"]))
    sizes = [value.numel() for value in adapted.parameters() if value.requires_grad]
    assert trainable_share(adapted).startswith(f"{sum(sizes):,} of ")
