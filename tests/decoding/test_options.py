import json

import pytest

from ar_omni.decoding import Options, StateOptions, load_presets, save_presets
from ar_omni.errors import CheckpointError, InputError


def test_overrides_reach_the_states_they_mean():
    preset = Options(text=StateOptions("sample", 0.8), image=StateOptions("sample", top_k=50))
    changed = preset.override(temperature=0.5, speech={"limit": 9}, guidance_scale=3.0)
    assert changed.text == StateOptions("sample", 0.5)
    assert changed.image == StateOptions("sample", 0.5, top_k=50)
    assert changed.speech == StateOptions(limit=9)
    assert changed.transcript == StateOptions()
    assert changed.guidance_scale == 3.0
    assert preset.override(strategy="sample").speech.strategy == "sample"
    assert preset.override(strategy="greedy", temperature=2.0).text == StateOptions("greedy", 0.8)
    assert preset.override() == preset


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temprature": 1.0}, "temperature.*'temprature'"),
        ({"temperature": 0, "strategy": "sample"}, "strategy='greedy'"),
        ({"top_p": 0.0, "strategy": "sample"}, "top_p"),
        ({"top_k": -1, "strategy": "sample"}, "top_k"),
        ({"strategy": "beam"}, "greedy"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"repetition_penalty": 0.5}, "repetition_penalty"),
        ({"max_segments": 0}, "max_segments"),
        ({"speech_repetition_limit": -1}, "speech_repetition_limit"),
        ({"text": 3}, "dict"),
        ({"text": {"limits": 3}}, "limits"),
        ({"text": {"limit": -3}}, "limit"),
    ],
)
def test_bad_options_teach(changes, message):
    with pytest.raises(InputError, match=message):
        Options().override(**changes)


def test_presets_round_trip_beside_other_keys(tmp_path):
    presets = {
        "speak": Options().override(speech={"strategy": "sample"}),
        "draw": Options(guidance_scale=2.0),
    }
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [2, 8]}')
    save_presets(tmp_path, presets)
    assert load_presets(tmp_path) == presets
    assert json.loads((tmp_path / "generation_config.json").read_text())["eos_token_id"] == [2, 8]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"presets": {"speak": {"tempo": 3}}}', '{"presets": {"speak": 3}}']
)
def test_bad_presets_are_refused(tmp_path, text):
    (tmp_path / "generation_config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"generation_config\.json"):
        load_presets(tmp_path)


def test_a_checkpoint_without_presets_decodes_greedily(tmp_path):
    assert load_presets(tmp_path) == {}
    assert Options().text.strategy == "greedy"
