"""Quantized maps stay near the maps they stand for, in every format and dtype."""

import pytest
import torch
from torch.nn import functional

from ar_omni.errors import InputError
from ar_omni.quantization import Int4Linear, Int8Linear, check_scheme, quantize_model, quantized_linear


def error(a, b):
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("scheme", "bound"), [("int8", 0.012), ("int4", 0.12)])
def test_products(scheme, bound, dtype):
    torch.manual_seed(0)
    weight, x = torch.randn(96, 256, dtype=dtype), torch.randn(3, 5, 256, dtype=dtype)
    bias = torch.randn(96, dtype=dtype)
    y = quantized_linear(weight, bias, scheme)(x)
    assert y.dtype == dtype
    assert error(y.float(), functional.linear(x, weight, bias).float()) < bound


def test_the_packings_of_four_bits_agree():
    torch.manual_seed(0)
    weight, x = torch.randn(32, 128), torch.randn(4, 128)
    on_cpu, portable = Int4Linear(weight), Int4Linear(torch.cat([weight, weight[:1]]))
    assert on_cpu.on_cpu
    assert not portable.on_cpu
    assert error(on_cpu(x), portable(x)[:, :32]) < 0.01
    assert error(portable.weight(torch.float32)[:32], weight) < 0.12


def test_widths_without_groups_take_eight_bits():
    assert isinstance(quantized_linear(torch.randn(16, 48), None, "int4"), Int8Linear)


@pytest.mark.parametrize(("scheme", "bound"), [("int8", 0.03), ("int4", 0.5)])
def test_model(make_model, scheme, bound):
    model = make_model(hidden_size=64, intermediate_size=128)
    ids = torch.arange(20, 40)[None]
    with torch.inference_mode():
        whole = model(ids).logits
        head = model.lm_head.weight
        quantized = quantize_model(model, scheme)(ids).logits
    assert model.lm_head.weight is head
    assert error(quantized, whole) < bound


def test_unknown_scheme():
    with pytest.raises(InputError, match="int8 or int4"):
        check_scheme("int2")


def test_pieces_of_rows_change_nothing(monkeypatch):
    torch.manual_seed(0)
    weight, x = torch.randn(1040, 128), torch.randn(3, 128)
    pieces = [quantized_linear(weight, None, scheme)(x) for scheme in ("int8", "int4")]
    monkeypatch.setattr("ar_omni.quantization.PIECE_ROWS", 4096)
    whole = [quantized_linear(weight, None, scheme)(x) for scheme in ("int8", "int4")]
    assert all(torch.equal(a, b) for a, b in zip(pieces, whole, strict=True))
