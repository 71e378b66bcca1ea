import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from ar_omni.configuration import AROmniConfig
from ar_omni.modeling import AROmniForCausalLM

POSITIONS = ["pre", "post"]


@pytest.fixture(params=POSITIONS)
def model(request, make_model):
    return make_model(norm_position=request.param)


def ids(model, *shape, seed=0):
    return torch.randint(0, model.config.vocab_size, shape, generator=torch.Generator().manual_seed(seed))


def norm(x, weight):
    return x * (x.pow(2).mean(-1, keepdim=True) + 1e-5).rsqrt() * weight


def reference(model, row):
    """The network in plain sentences: one row of ids (T,) -> logits (T, V)."""
    config, weights = model.config, dict(model.named_parameters())
    angles = torch.arange(len(row))[:, None] * 10000.0 ** (
        -torch.arange(0, config.head_dim, 2) / config.head_dim
    )
    cos, sin = angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)

    def heads(x, name, count):
        x = x.view(len(row), count, config.head_dim)
        mean, var = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
        x = (x - mean) / (var + 1e-5).sqrt() * weights[f"{name}.weight"] + weights[f"{name}.bias"]
        half = config.head_dim // 2
        return x * cos[:, None] + torch.cat((-x[..., half:], x[..., :half]), -1) * sin[:, None]

    def attention(x, at):
        q = heads(x @ weights[f"{at}.q_proj.weight"].T, f"{at}.q_norm", config.num_attention_heads)
        k = heads(x @ weights[f"{at}.k_proj.weight"].T, f"{at}.k_norm", config.num_key_value_heads)
        v = (x @ weights[f"{at}.v_proj.weight"].T).view(len(row), config.num_key_value_heads, -1)
        shared = config.num_attention_heads // config.num_key_value_heads
        k, v = k.repeat_interleave(shared, 1), v.repeat_interleave(shared, 1)
        scores = torch.einsum("thd,shd->hts", q, k) / config.head_dim**0.5
        scores = scores.masked_fill(torch.ones(len(row), len(row)).triu(1).bool(), -torch.inf)
        mixed = torch.einsum("hts,shd->thd", scores.softmax(-1), v)
        return mixed.reshape(len(row), -1) @ weights[f"{at}.o_proj.weight"].T

    def mlp(x, at):
        gate, up = x @ weights[f"{at}.gate_proj.weight"].T, x @ weights[f"{at}.up_proj.weight"].T
        return (torch.nn.functional.silu(gate) * up) @ weights[f"{at}.down_proj.weight"].T

    x = weights["model.embed_tokens.weight"][row]
    for i in range(config.num_hidden_layers):
        at = f"model.layers.{i}"
        first, second = (
            weights[f"{at}.input_layernorm.weight"],
            weights[f"{at}.post_attention_layernorm.weight"],
        )
        if config.norm_position == "pre":
            x = x + attention(norm(x, first), f"{at}.self_attn")
            x = x + mlp(norm(x, second), f"{at}.mlp")
        else:
            x = x + norm(attention(x, f"{at}.self_attn"), first)
            x = x + norm(mlp(x, f"{at}.mlp"), second)
    return norm(x, weights["model.norm.weight"]) @ model.lm_head.weight.T


@torch.no_grad()
def test_forward_is_the_network_of_the_design(model):
    row = ids(model, 23)
    torch.testing.assert_close(model(row[None]).logits[0], reference(model, row), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_right_padding_needs_no_mask(model):
    row, batch = ids(model, 1, 9), ids(model, 2, 20)
    batch[0, :9] = row
    torch.testing.assert_close(model(batch).logits[0, :9], model(row).logits[0], atol=1e-5, rtol=1e-5)
    mask = torch.ones_like(batch)
    mask[0, 9:] = 0
    masked = model(batch, attention_mask=mask).logits
    torch.testing.assert_close(masked[0, :9], model(row).logits[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_saved_model_loads_bit_exact_through_auto_classes(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(loaded) is AROmniForCausalLM
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight
    row = ids(model, 1, 12)
    assert torch.equal(loaded(row).logits, model(row).logits)
    assert AutoConfig.from_pretrained(tmp_path).to_dict() | {
        "_name_or_path": ""
    } == loaded.config.to_dict() | {"_name_or_path": ""}


@torch.no_grad()
def test_hidden_states_and_logits_to_keep(model):
    row = ids(model, 1, 12)
    out = model(row, output_hidden_states=True)
    assert len(out.hidden_states) == model.config.num_hidden_layers + 1
    torch.testing.assert_close(out.hidden_states[-1], model.model(row).last_hidden_state)
    torch.testing.assert_close(model(row, logits_to_keep=1).logits, out.logits[:, -1:])


def test_initial_weights(make_config):
    model = AROmniForCausalLM(make_config(hidden_size=128, num_attention_heads=2, intermediate_size=256))
    layer = model.model.layers[0]
    assert layer.mlp.up_proj.weight.std().item() == pytest.approx(0.02, rel=0.05)
    for linear in (layer.self_attn.o_proj, layer.mlp.down_proj):
        assert linear.weight.std().item() == pytest.approx(0.02 / 4**0.5, rel=0.05)
    assert torch.equal(layer.self_attn.q_norm.weight, torch.ones(2, 64))


def test_projector_only_when_asked(make_model):
    assert not hasattr(make_model(), "image_projector")
    model = make_model(image_embedding_dim=8)
    assert model.image_projector(torch.zeros(3, 32)).shape == (3, 8)


def test_ids_come_from_the_vocabulary(vocabulary, make_config):
    config = make_config()
    assert config.vocab_size == vocabulary.size
    assert (config.bos_token_id, config.pad_token_id) == (vocabulary.bos_id, vocabulary.pad_id)
    assert config.eos_token_id == [vocabulary.eos_id, vocabulary.eom_id]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm_position": "middle"}, "norm_position"),
        ({"num_key_value_heads": 3}, "multiple"),
        ({"head_dim": 16}, "head_dim"),
    ],
)
def test_bad_geometry_is_refused(change, message, make_config):
    with pytest.raises(Exception, match=message):
        make_config(**change)


def test_gradients_reach_everything(make_config):
    model = AROmniForCausalLM(make_config(norm_position="post"))
    model.activation_checkpointing_enable()
    model.train()
    model(ids(model, 2, 16)).logits.logsumexp(-1).mean().backward()
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0 for n, p in model.named_parameters() if "bias" not in n
    )


def test_chameleon_7b_geometry_is_the_default():
    config = AROmniConfig()
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (4096, 32, 32)
    assert (config.intermediate_size, config.vocab_size, config.head_dim) == (11008, 65536, 128)
