"""Published checkpoints, converted, compute what the original code computed on them.

Figures without a test here are beside it: codecs in `tokenizers/`, losses in `test_compat_losses.py`, the
files that conversion writes in `test_conversion.py`.
"""

from __future__ import annotations

import json
import re
from functools import cache

import numpy as np
import pytest
import torch
from goldens import arrays, golden, values
from safetensors.torch import load_file

from ar_omni.convert import convert
from ar_omni.convert.language import META_NAMES
from ar_omni.decoding import Guidance, Network, Options, StateOptions
from ar_omni.decoding.cache import Sequence
from ar_omni.decoding.compat import decode_published
from ar_omni.decoding.sampling import penalise, shape
from ar_omni.modeling import AROmniForCausalLM
from ar_omni.processing import Processor
from ar_omni.vocabulary import Vocabulary

FORMATS = {
    "meta-pre": ("chameleon_meta/swin_false", "chameleon_meta/outputs_swin_false.npz", "fp32.full."),
    "meta-post": ("chameleon_meta/swin_true", "chameleon_meta/outputs_swin_true.npz", "fp32.full."),
    "hf-pre": ("chameleon_hf/swin_false", "chameleon_hf/outputs_swin_false.npz", "fp32."),
    "hf-post": ("chameleon_hf/swin_true", "chameleon_hf/outputs_swin_true.npz", "fp32."),
}
SEQUENCES = ("seq0", "seq1")
ATOL = 1e-4


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """`folder_of(source)`: a converted golden checkpoint, converted once."""

    @cache
    def of(source: str):
        return convert(golden(source), tmp_path_factory.mktemp("converted") / "model", progress=False)

    return of


@pytest.fixture(scope="module")
def model_of(folder_of):
    """`model_of(source, dtype)`: the transformers model of a converted golden checkpoint."""

    @cache
    def of(source: str, dtype: torch.dtype = torch.float32) -> AROmniForCausalLM:
        return AROmniForCausalLM.from_pretrained(folder_of(source), dtype=dtype).eval()

    return of


def network_of(folder, patch=None) -> Network:
    """The network of a converted checkpoint in float32; `patch` replaces the head's row of boi."""
    config = json.loads((folder / "config.json").read_text())
    weights = {name: value.float() for name, value in load_file(folder / "model.safetensors").items()}
    if patch is not None:
        weights["lm_head.weight"][Vocabulary.from_dict(config["vocabulary"]).boi_id] = patch
    return Network.from_weights(weights, config)


def inputs(name: str) -> torch.Tensor:
    """Ids of one of the two golden sequences, (1, T); every set shares them."""
    return torch.from_numpy(arrays("chameleon_meta/outputs_swin_false.npz")[f"input_ids.{name}"])[None]


def sub_vocabulary() -> np.ndarray:
    return arrays("chameleon_meta/outputs_swin_false.npz")["sub_vocab_ids"]


@pytest.mark.parametrize("sequence", SEQUENCES)
@pytest.mark.parametrize("name", FORMATS)
def test_prefill(model_of, name, sequence):
    source, file, prefix = FORMATS[name]
    expected = arrays(file)
    with torch.inference_mode():
        out = model_of(source)(inputs(sequence), output_hidden_states=True)
    logits, key = out.logits[0].numpy(), prefix + sequence
    np.testing.assert_allclose(logits[:, sub_vocabulary()], expected[f"{key}.logits_sub"], atol=ATOL)
    assert (logits.argmax(-1) == expected[f"{key}.argmax"]).all()
    sums = torch.logsumexp(out.logits[0], -1).numpy()
    np.testing.assert_allclose(sums, expected[f"{key}.logsumexp"], atol=ATOL)
    if name.startswith("hf"):
        hidden = torch.cat(out.hidden_states).numpy()
        np.testing.assert_allclose(hidden, expected[f"{key}.hidden_states"], atol=ATOL)
        loss = torch.nn.functional.cross_entropy(out.logits[0, :-1], inputs(sequence)[0, 1:])
        assert loss.item() == pytest.approx(float(expected[f"{key}.hf_loss"]), abs=ATOL)
    else:
        np.testing.assert_allclose(logits[-1], expected[f"{key}.logits_last"], atol=ATOL)
        np.testing.assert_allclose(out.hidden_states[-1][0], expected[f"{key}.norm_out"], atol=ATOL)
        for layer, hidden in enumerate(out.hidden_states[1:-1]):
            np.testing.assert_allclose(hidden[0], expected[f"{key}.layer{layer}_out"], atol=ATOL)


@pytest.mark.parametrize("name", ["meta-pre", "meta-post"])
def test_incremental_decoding_of_both_sequences_at_once(folder_of, name):
    source, file, _ = FORMATS[name]
    network, expected = network_of(folder_of(source)), arrays(file)
    rows = [inputs(name)[0].tolist() for name in SEQUENCES]
    sequences = [Sequence(ids[:-6]) for ids in rows]
    for step in range(7):
        logits = network.logits(network.forward(sequences), None, tuple(range(len(network.head))))
        found = logits[:, sub_vocabulary()].numpy()
        np.testing.assert_allclose(found, expected["fp32.incremental.logits_sub"][:, step], atol=ATOL)
        assert (logits.argmax(-1).numpy() == expected["fp32.incremental.argmax"][:, step]).all()
        for sequence, ids in zip(sequences, rows, strict=True):
            sequence.ids.extend(ids[len(sequence.ids) : len(sequence.ids) + 1])


@pytest.mark.parametrize("sequence", SEQUENCES)
@pytest.mark.parametrize("name", ["hf-pre", "hf-post"])
def test_incremental_decoding_gives_what_reading_at_once_gave(folder_of, name, sequence):
    source, file, prefix = FORMATS[name]
    network, expected, ids = network_of(folder_of(source)), arrays(file), inputs(sequence)[0].tolist()
    read = Sequence(ids[:-6])
    for place in range(len(ids) - 7, len(ids)):
        logits = network.logits(network.forward([read]), None, tuple(range(len(network.head))))[0]
        wanted = expected[f"{prefix}{sequence}.logits_sub"][place]
        np.testing.assert_allclose(logits[sub_vocabulary()], wanted, atol=ATOL)
        assert logits.argmax() == expected[f"{prefix}{sequence}.argmax"][place]
        read.ids.extend(ids[place + 1 : place + 2])


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_a_meta_folder_with_post_norm(tmp_path, sequence):
    """The fork's conversion renames Meta's tensors and leaves their rows: turned back it is Meta's file."""
    source, file, prefix = FORMATS["hf-post"]
    names = {ours: theirs for theirs, ours in META_NAMES.items()}
    state = {}
    for name, value in load_file(golden(source) / "model.safetensors").items():
        place, _, kind = name.rpartition(".")
        layer = re.match(r"model\.layers\.\d+\.", place)
        stem = place.removeprefix(layer[0]) if layer else place
        if stem in names:
            state[f"{layer[0].removeprefix('model.') if layer else ''}{names[stem]}.{kind}"] = value
    config = json.loads((golden(source) / "config.json").read_text())
    copied = {
        "dim": "hidden_size",
        "n_layers": "num_hidden_layers",
        "n_heads": "num_attention_heads",
        "norm_eps": "rms_norm_eps",
        "rope_theta": "rope_theta",
    }
    params = {key: config[theirs] for key, theirs in copied.items()}
    folder = tmp_path / "models/7b"
    folder.mkdir(parents=True)
    torch.save(state | {"rope.freqs": torch.zeros(4)}, folder / "consolidated.pth")
    (folder / "params.json").write_text(json.dumps(params))
    (folder / "consolidate_params.json").write_text(json.dumps({"swin_norm": True, "qk_normalization": True}))
    network, expected = network_of(convert(tmp_path, tmp_path / "out", progress=False)), arrays(file)
    ids = inputs(sequence)[0].tolist()
    for length in (len(ids), len(ids) - 5):
        hidden = network.forward([Sequence(ids[:length])])
        logits = network.logits(hidden, None, tuple(range(len(network.head))))[0]
        wanted = expected[f"{prefix}{sequence}.logits_sub"][length - 1]
        np.testing.assert_allclose(logits[sub_vocabulary()], wanted, atol=ATOL)


@pytest.mark.parametrize("name", ["hf-pre", "hf-post"])
def test_right_padding(model_of, name):
    source, file, _ = FORMATS[name]
    expected = {key.removeprefix("fp32.padded."): value for key, value in arrays(file).items()}
    ids, mask = (torch.from_numpy(expected[key]) for key in ("input_ids", "attention_mask"))
    with torch.inference_mode():
        hidden = model_of(source).model(ids, attention_mask=mask).last_hidden_state
    valid = mask.bool()
    np.testing.assert_allclose(
        hidden[valid], torch.from_numpy(expected["last_hidden_state"])[valid], atol=ATOL
    )


@pytest.mark.parametrize("name", FORMATS)
def test_bfloat16_stays_near(model_of, name):
    source, file, prefix = FORMATS[name]
    key = prefix.replace("fp32", "bf16") + "seq0.logits_sub"
    if key not in arrays(file):
        pytest.skip("the bfloat16 outputs are not here")
    with torch.inference_mode():
        logits = model_of(source, torch.bfloat16)(inputs("seq0")).logits[0].float().numpy()
    np.testing.assert_allclose(logits[:, sub_vocabulary()], arrays(file)[key], atol=0.6)


def traces():
    found = values("fsm/decode_traces.json")
    return {name: trace for name, trace in found.items() if trace["ids"] and not trace["error"]}


def trace_names() -> list[str]:
    try:
        return list(traces())
    except pytest.skip.Exception:
        return []


@pytest.mark.parametrize("name", trace_names())
def test_greedy_decode_traces(folder_of, name):
    trace, folder = traces()[name], folder_of(f"chameleon_meta/{name.partition('.')[0]}")
    patched = arrays("fsm/outputs.npz")["decode.patched_output_row_8197"] if "patched" in name else None
    network = network_of(folder, None if patched is None else torch.from_numpy(patched))
    text, image = trace["options"]["txt"] or {}, trace["options"]["img"] or {}
    options = Options(
        text=state(text, text.get("greedy", False)),
        transcript=state(text, True),
        speech=state(text, True),
        image=state(image, True),
        repetition_penalty=text.get("repetition_penalty", 1.0),
        guidance_scale=image.get("cfg_text", 1.0),
        image_guidance_scale=image.get("cfg_image", 1.0),
    )
    vocabulary = Processor.from_pretrained(folder).vocabulary
    replies = [[] for _ in trace["prompt"]]
    draw, budget = not text, trace["n"] + (3 if not text else 1)
    limit = trace["first_step_with_margin_below_1e-3"] or trace["n"]
    for row, token_id in decode_published(network, vocabulary, trace["prompt"], options, draw, budget=budget):
        replies[row].append(token_id)
        if all(len(reply) > limit for reply in replies):
            break
    for reply, ids in zip(replies, trace["ids"], strict=True):
        assert reply[draw : limit + draw] == ids[:limit]


def state(values: dict, greedy: bool) -> StateOptions:
    strategy = "greedy" if greedy else "sample"
    return StateOptions(strategy, values.get("temp", 1.0), values.get("top_p", 1.0))


def test_prompts(folder_of):
    expected = values("fsm/prompts.json")
    processor = Processor.from_pretrained(folder_of("chameleon_meta/swin_false"))
    text = {"type": "text", "text": "a red house"}
    audio, image = {"type": "audio", "codes": [0, 1]}, {"type": "image", "codes": [0, 1] + [0] * 1022}
    cases = [("describe", "caption", image), ("draw", "t2i", text), ("transcribe", "asr", audio)]
    for task, name, part in [*cases, ("speak", "tts", text), ("chat", "audio", audio)]:
        wanted = expected["pretrain"].get(name) or chat_case(expected, name)["ids"]
        found = processor.encode_messages([{"role": "user", "content": [part]}], task)
        assert without_padding(found) == wanted


def test_chat_prompt_of_a_picture_and_speech(folder_of):
    wanted = chat_case(values("fsm/prompts.json"), "image_audio")["ids"]
    processor = Processor.from_pretrained(folder_of("chameleon_meta/swin_false"))
    parts = [{"type": "audio", "codes": [0, 1]}, {"type": "image", "codes": [0, 1] + [0] * 1022}]
    assert without_padding(processor.encode_turn(parts)) == wanted


def chat_case(prompts, name):
    return next(case for case in prompts["cases"] if case["name"] == name)


def without_padding(ids: list[int]) -> list[int]:
    """The ids without the 1022 codes that make the golden's two-code picture a whole one."""
    start = next((i for i in range(len(ids)) if ids[i : i + 1022] == [4] * 1022), None)
    return ids if start is None else ids[:start] + ids[start + 1022 :]


def test_text_tokens(folder_of):
    cases = values("chameleon_meta/text_outputs.json")["encode"]
    processor = Processor.from_pretrained(folder_of("chameleon_meta/swin_false"))
    start = processor.vocabulary.text.start
    for case in cases:
        ids = [start + code for code in processor.text_tokenizer.encode(case["text"])]
        assert ids == case["ids"] or "<reserved" in case["text"]
        assert min(ids, default=start) >= start, "no spelling gives a control id"
        assert processor.text_tokenizer.decode([i - start for i in ids]) == case["text"]


@pytest.mark.parametrize("scales", [(3.07, 1.15), (3.07, 1.32), (1.0, 1.0), (0.0, 0.0)])
def test_guidance(scales):
    found = arrays("fsm/outputs.npz")
    full, image, none = torch.from_numpy(found["cfg.logits"]).chunk(3)
    expected = found[f"cfg.out_text{scales[0]}_image{scales[1]}"][: len(full)]
    guidance = Guidance([[0], [0]], *scales)
    for row in range(len(full)):
        rows = torch.stack([full[row], image[row], none[row]])
        combined = guidance.combine(rows)
        np.testing.assert_allclose(combined, expected[row], atol=1e-5)


@pytest.mark.parametrize(
    ("case", "temperature", "top_p"), [("chat_default", 1.2, 0.96), ("txt_temp0.9_p0.8", 0.9, 0.8)]
)
def test_penalty_temperature_and_top_p(case, temperature, top_p):
    found = arrays("fsm/outputs.npz")
    allowed = np.unpackbits(found[f"chain.{case}.allowed_mask_packed"])[: len(found["chain.logits_f32"])]
    ids = np.flatnonzero(allowed)
    scores = torch.from_numpy(found["chain.logits_f32"])[ids].clone()
    used = torch.from_numpy(np.flatnonzero(np.isin(ids, found["chain.history"])))
    shaped = shape(penalise(scores, used, 1.2), StateOptions("sample", temperature, top_p))
    kept = shaped.isfinite().nonzero().flatten().numpy()
    assert ids[kept].tolist() == found[f"chain.{case}.kept_ids"].tolist()
    np.testing.assert_allclose(shaped[kept], found[f"chain.{case}.kept_logits"], atol=1e-5)
