"""What conversion recognises, refuses and leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from goldens import golden
from safetensors.torch import load_file
from transformers import ChameleonConfig, ChameleonForConditionalGeneration

from ar_omni import AROmni
from ar_omni.cli import main
from ar_omni.convert import convert, converted, is_foreign
from ar_omni.convert.writer import LazyTensor, write_tensors
from ar_omni.decoding import load_presets
from ar_omni.doctor import memory_needed
from ar_omni.errors import CheckpointError, InputError
from ar_omni.manifest import check_manifest
from ar_omni.modeling import AROmniForCausalLM
from ar_omni.processing import Processor
from ar_omni.tensor_files import Weights


@pytest.fixture
def bundle(tmp_path) -> Path:
    """The original root of a whole model: `models/7b`, `tokenizer`, and WavTokenizer's files."""
    root = tmp_path / "bundle"
    shutil.copytree(golden("chameleon_meta/swin_false/models"), root / "models")
    shutil.copytree(golden("chameleon_meta/tokenizer"), root / "tokenizer")
    shutil.copytree(golden("wavtokenizer"), root / "wavtokenizer", ignore=shutil.ignore_patterns("*.npz"))
    for path in root.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return root


def test_a_bundle_becomes_a_checkpoint_that_runs(bundle, tmp_path, capsys):
    target = tmp_path / "model"
    assert main(["convert", str(bundle), str(target)]) == 0
    assert f"{target}: 11 files" in capsys.readouterr().out
    omni = AROmni.from_pretrained(target)
    assert omni.speak("hi", max_new_tokens=30, seed=0).sample_rate == 24000
    assert isinstance(omni.generate("hello", max_new_tokens=20, seed=0).text, str)
    assert Processor.from_pretrained(target).template.untrained_outputs == ()
    chat = load_presets(target)["chat"]
    assert (chat.text.temperature, chat.text.top_p, chat.repetition_penalty) == (1.2, 0.96, 1.2)
    assert (chat.guidance_scale, chat.image_guidance_scale) == (3.07, 1.15)
    assert load_presets(target)["draw"].image_guidance_scale == 1.32


def test_a_source_folder_loads_through_the_cache(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("AR_OMNI_CACHE", str(tmp_path / "cache"))
    assert is_foreign(bundle)
    omni = AROmni.from_pretrained(bundle)
    (entry,) = (tmp_path / "cache" / "converted").iterdir()
    assert omni.processor.vocabulary.text.start == 16388
    changed = entry.stat().st_mtime_ns
    assert converted(bundle) == entry
    assert entry.stat().st_mtime_ns == changed, "converted once"


def test_parts_from_several_places(tmp_path):
    target = convert(
        golden("chameleon_hf/swin_false"),
        tmp_path / "model",
        parts=[golden("vqgan"), golden("wavtokenizer/wavtokenizer_tiny.ckpt")],
        progress=False,
    )
    config = json.loads((target / "image_tokenizer" / "config.json").read_text())
    assert config["has_decoder"]
    assert config["encoder_blocks"] == 1, "a later place replaces what the model's folder holds"
    assert (target / "speech_tokenizer" / "model.safetensors").is_file()


def test_manifest(bundle, tmp_path):
    target = convert(bundle, tmp_path / "model", progress=False)
    check_manifest(target, hashes=True)
    weights = target / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    check_manifest(target)
    with pytest.raises(CheckpointError, match="got others"):
        check_manifest(target, hashes=True)
    weights.write_bytes(data[:-1])
    with pytest.raises(CheckpointError, match="bytes"):
        check_manifest(target)


def test_model_parallel_shards(bundle, tmp_path):
    """One file cut into four as Meta cut its large models gives the same tensors."""
    whole = convert(bundle, tmp_path / "whole", progress=False)
    folder = bundle / "models" / "7b"
    state = torch.load(folder / "consolidated.pth", weights_only=True)
    (folder / "consolidated.pth").unlink()
    columns = ("wo.weight", "w2.weight", "tok_embeddings.weight")
    for shard in range(4):
        cut = {
            name: value
            if value.ndim == 1
            else value.chunk(4, dim=1 if name.endswith(columns) else 0)[shard].clone()
            for name, value in state.items()
        }
        torch.save(cut, folder / f"consolidated.{shard:02d}.pth")
    sharded = convert(bundle, tmp_path / "sharded", progress=False)
    tensors = [load_file(path / "model.safetensors") for path in (whole, sharded)]
    assert tensors[0].keys() == tensors[1].keys()
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])


def test_folders_of_current_transformers(tmp_path):
    """What its own `save_pretrained` writes is read, and gives the logits that it gives."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "num_key_value_heads": 4}
    vq = {"embed_dim": 8, "latent_channels": 8, "base_channels": 32, "channel_multiplier": [1, 1]}
    vq |= {"num_embeddings": 8192, "num_res_blocks": 1, "resolution": 16, "in_channels": 3}
    names = [f"IMGIMG{''.join('ABCDEFGHIJ'[int(digit)] for digit in str(code))}Z" for code in range(8192)]
    ids = {name: code + 4 for code, name in enumerate(names)} | {"<image>": 8711}
    config = ChameleonConfig(**sizes, vocab_size=16896, vq_config=vq, vocabulary_map=ids)
    theirs = ChameleonForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            parameter.normal_(mean=float("norm" in name and "weight" in name), std=0.2)
    theirs.save_pretrained(tmp_path / "current")
    ours = AROmniForCausalLM.from_pretrained(convert(tmp_path / "current", tmp_path / "ours", progress=False))
    rows = torch.randint(16400, 16896, (2, 20))
    with torch.inference_mode():
        wanted = theirs.lm_head(theirs.model(input_ids=rows).last_hidden_state)
        torch.testing.assert_close(ours.eval()(rows).logits, wanted, rtol=1e-4, atol=1e-4)


def test_sharded_output_loads(tmp_path, monkeypatch):
    monkeypatch.setattr("ar_omni.convert.writer.MAX_SHARD_BYTES", 1_000_000)
    target = convert(golden("chameleon_hf/swin_false"), tmp_path / "model", progress=False)
    assert len(list(target.glob("model-*.safetensors"))) > 1
    model = AROmniForCausalLM.from_pretrained(target, dtype=torch.float32)
    weights = Weights(target, dtype=torch.float32)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


class Harmful:
    def __reduce__(self):
        return os.makedirs, ("harmed", 0o777, True)


def test_pickles_that_run_code_are_refused(bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = next((bundle / "wavtokenizer").glob("*.ckpt"))
    values = torch.load(path, weights_only=True)
    torch.save(values | {"hyper_parameters": Harmful()}, path)
    with pytest.raises(CheckpointError, match="--trust-pickle"):
        convert(bundle, tmp_path / "model", progress=False)
    assert not (tmp_path / "harmed").exists()
    assert not (tmp_path / "model").exists()
    convert(bundle, tmp_path / "model", trust_pickle=True, progress=False)
    assert (tmp_path / "harmed").exists(), "knowingly"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: shutil.rmtree(root), "does not exist"),
        (lambda root: (root / "models/7b/consolidated.pth").write_bytes(b"PK\x03\x04 no"), "cannot be read"),
        (lambda root: (root / "models/7b/params.json").write_text("{}"), "dim, n_heads, n_layers"),
        (lambda root: (root / "tokenizer/text_tokenizer.json").write_text("{"), "JSON"),
        (lambda root: shutil.copytree(root / "models/7b", root / "models/8b"), "name one of them"),
        (lambda root: [shutil.rmtree(path) for path in root.iterdir()], "WavTokenizer checkpoint"),
    ],
)
def test_bad_sources_leave_nothing(bundle, tmp_path, spoil, message):
    spoil(bundle)
    with pytest.raises(CheckpointError, match=message) as error:
        convert(bundle, tmp_path / "model", progress=False)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir() if "model" in path.name] == []


def test_an_existing_folder_is_not_touched(bundle, tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    (target / "mine").write_text("x")
    with pytest.raises(InputError, match="not there yet"):
        convert(bundle, target, progress=False)
    assert [path.name for path in target.iterdir()] == ["mine"]


def test_a_killed_conversion_leaves_no_folder(bundle, tmp_path):
    """Killed while it writes the weights; the next conversion removes what was half done."""
    script = (
        "import os, sys\n"
        "from ar_omni.convert import convert, writer\n"
        "writer._write_file = lambda *_: os.kill(os.getpid(), 9)\n"
        "convert(sys.argv[1], sys.argv[2], progress=False)\n"
    )
    target = tmp_path / "out" / "model"
    command = [sys.executable, "-c", script, str(bundle), str(target)]
    assert subprocess.run(command, check=False).returncode == -9
    assert not target.exists()
    (half,) = target.parent.iterdir()
    assert (half / "image_tokenizer").is_dir()
    convert(bundle, target, progress=False)
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_doctor_counts_memory_before_loading(bundle, tmp_path, capsys):
    target = convert(bundle, tmp_path / "model", progress=False)
    table = memory_needed(target, context=1024)
    count = sum(value.numel() for value in load_file(target / "model.safetensors").values())
    assert table["float32"].weights == 4 * count
    assert table["bfloat16"].weights == 2 * count
    assert table["int4"].weights < table["int8"].weights < table["bfloat16"].weights
    assert table["bfloat16"].cache == 2 * 2 * 3 * 4 * 8 * 1024
    assert memory_needed(bundle, context=1024)["bfloat16"].weights == 2 * count
    assert main(["doctor", "--model", str(target), "--context", "64", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["packages"]["torch"]
    assert report["memory"]["bfloat16"]["total"] > 0
    assert main(["doctor", "--model", str(target), "--context", "999999"]) == 2


MEASURE = r"""
import re, sys
from pathlib import Path
from ar_omni.convert import convert
convert(sys.argv[1], sys.argv[2], progress=False)
status = Path("/proc/self/status").read_text()  # getrusage would count the parent's memory at the fork
print(int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024)
"""


@pytest.mark.slow
def test_conversion_streams(tmp_path):
    """Four shards of 300 MB convert within 1.2 x the largest of them plus 500 MB."""
    folder = tmp_path / "models" / "7b"
    folder.mkdir(parents=True)
    hidden, layers, vocabulary, shards = 2048, 8, 65536, 4
    params = {"dim": hidden, "n_layers": layers, "n_heads": 16, "vocab_size": vocabulary, "norm_eps": 1e-5}
    (folder / "params.json").write_text(json.dumps({"model": params}))
    sizes = []
    for shard in range(shards):
        state = {
            "tok_embeddings.weight": torch.zeros(vocabulary, hidden // shards, dtype=torch.bfloat16),
            "output.weight": torch.zeros(vocabulary // shards, hidden, dtype=torch.bfloat16),
            "norm.weight": torch.ones(hidden, dtype=torch.bfloat16),
        }
        for layer in range(layers):
            at = f"layers.{layer}."
            rows = torch.zeros(hidden // shards, hidden, dtype=torch.bfloat16)
            state |= {f"{at}attention.w{name}.weight": rows.clone() for name in "qkv"}
            state[f"{at}attention.wo.weight"] = rows.t().contiguous()
            wide = torch.zeros(4 * hidden // shards, hidden, dtype=torch.bfloat16)
            state |= {f"{at}feed_forward.{name}.weight": wide.clone() for name in ("w1", "w3")}
            state[f"{at}feed_forward.w2.weight"] = wide.t().contiguous()
            for name in ("q", "k"):
                state[f"{at}attention.{name}_normalization.weight"] = torch.ones(128, dtype=torch.bfloat16)
                state[f"{at}attention.{name}_normalization.bias"] = torch.zeros(128, dtype=torch.bfloat16)
            for name in ("attention_norm", "ffn_norm"):
                state[f"{at}{name}.weight"] = torch.ones(hidden, dtype=torch.bfloat16)
        path = folder / f"consolidated.{shard:02d}.pth"
        torch.save(state, path)
        sizes.append(path.stat().st_size)
        del state, rows, wide
    command = [sys.executable, "-c", MEASURE, str(tmp_path), str(tmp_path / "out")]
    peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert peak <= 1.2 * max(sizes) + 500e6, f"{peak / 1e6:.0f} MB for shards of {max(sizes) / 1e6:.0f} MB"


def test_lazy_tensors_keep_their_promise(tmp_path):
    wrong = {"x": LazyTensor((2,), torch.float32, lambda: [torch.zeros(3)])}
    with pytest.raises(CheckpointError, match="float32 values of shape"):
        write_tensors(tmp_path, wrong)
