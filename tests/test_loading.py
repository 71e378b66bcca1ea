"""Devices, dtypes, attention and placement: what is chosen, and what is refused in one line."""

import numpy as np
import pytest
import torch

from ar_omni.decoding import Network
from ar_omni.decoding.cache import Sequence
from ar_omni.errors import DependencyError, InputError
from ar_omni.loading import choose_attention, choose_device, choose_dtype, place_layers
from ar_omni.modeling import AROmniForCausalLM
from ar_omni.tensor_files import Weights

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def folder(make_model, tmp_path):
    make_model().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def hidden(network):
    return network.forward([Sequence([0, 20, 30, 40])])[0]


def test_weights_are_those_of_the_folder(folder):
    model = AROmniForCausalLM.from_pretrained(folder)
    config = model.config.to_dict()
    whole = hidden(Network.from_weights(Weights(folder), config))
    placed = Weights(folder, layers=[CPU] * config["num_hidden_layers"])
    np.testing.assert_array_equal(whole, hidden(Network.from_weights(placed, config)))
    assert not placed, "taken one by one"
    for scheme, bound in (("int8", 0.05), ("int4", 0.6)):
        found = hidden(Network.from_weights(Weights(folder), config, scheme))
        assert (found - whole).norm() / whole.norm() < bound


def test_placement():
    free = {"cuda:0": 10_000, "cuda:1": 5_000}
    places = place_layers("auto", 16, 1_000, free)
    assert [str(device) for device in places] == ["cuda:0"] * 8 + ["cuda:1"] * 4 + ["cpu"] * 4
    assert place_layers("auto", 3, 1_000, {}) == [CPU] * 3
    assert place_layers(None, 3, 1_000, free) == []
    assert [d.type for d in place_layers({"cuda:0": 2, "cpu": 1}, 3, 1, {})] == ["cuda", "cuda", "cpu"]
    with pytest.raises(InputError, match="3 layers"):
        place_layers({"cpu": 2}, 3, 1, {})


def test_weights_follow_their_layers(folder):
    weights = Weights(folder, layers=[torch.device("meta"), CPU])
    assert weights["model.embed_tokens.weight"].device.type == "meta"
    assert weights["model.layers.0.mlp.up_proj.weight"].device.type == "meta"
    assert weights["model.layers.1.mlp.up_proj.weight"].device == CPU
    assert weights["model.norm.weight"].device == CPU


def test_devices_and_dtypes(folder):
    assert choose_device("cpu") == CPU
    assert choose_dtype("auto", CPU, folder) == torch.float32
    assert choose_dtype("auto", CUDA, folder) == torch.bfloat16
    assert choose_dtype("bfloat16", CPU, folder) == torch.bfloat16
    with pytest.raises(InputError, match="float16"):
        choose_dtype("float16", CPU, folder)
    with pytest.raises(InputError, match="auto, cpu or cuda"):
        choose_device("gpu")


def test_attention(monkeypatch):
    monkeypatch.setattr("ar_omni.loading.find_spec", lambda name: None)
    assert choose_attention(None, CUDA, torch.bfloat16) == "sdpa"
    with pytest.raises(DependencyError, match=r"ar-omni\[flash\]") as error:
        choose_attention("flash", CUDA, torch.bfloat16)
    assert "\n" not in str(error.value)
    monkeypatch.setattr("ar_omni.loading.find_spec", lambda name: object())
    assert choose_attention(None, CUDA, torch.bfloat16) == "flash"
    assert choose_attention(None, CPU, torch.bfloat16) == "sdpa"
    with pytest.raises(InputError, match="float32 on cpu"):
        choose_attention("flash", CPU, torch.float32)
    with pytest.raises(InputError, match="sdpa or flash"):
        choose_attention("eager", CPU, torch.float32)
