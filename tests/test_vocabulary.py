import json

import pytest

from ar_omni.vocabulary import MODALITIES, SPECIALS, Span, Vocabulary

LAYOUTS = [Vocabulary.nano(72, 256, 1024), Vocabulary.ar_omni_7b(), Vocabulary.ar_omni_7b(16896)]


@pytest.mark.parametrize("vocabulary", LAYOUTS)
def test_every_code_has_its_own_id_and_comes_back(vocabulary):
    seen = set(vocabulary.specials.values())
    for name in MODALITIES:
        span = getattr(vocabulary, name)
        ids = [span.id(code) for code in range(len(span))]
        assert [span.code(i) for i in ids] == list(range(len(span)))
        assert {vocabulary.modality(i) for i in ids} == {name}
        assert seen.isdisjoint(ids)
        seen.update(ids)
    assert max(seen) < vocabulary.size
    assert all(vocabulary.modality(i) is None for i in vocabulary.specials.values())


@pytest.mark.parametrize("vocabulary", LAYOUTS)
def test_json_round_trip(vocabulary):
    assert Vocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict()))) == vocabulary


def test_specials_are_attributes():
    vocabulary = LAYOUTS[0]
    assert {name: getattr(vocabulary, f"{name}_id") for name in SPECIALS} == vocabulary.specials


def test_published_ids():
    v = Vocabulary.ar_omni_7b()
    assert (v.bos_id, v.pad_id, v.eos_id, v.eoi_id, v.boi_id) == (0, 1, 2, 8196, 8197)
    assert (v.eoa_id, v.boa_id, v.eoh_id, v.eom_id) == (12820, 12821, 12830, 12831)
    assert (v.ins_id, v.res_id) == (12840, 12841)
    assert (v.image, v.speech, v.text) == (Span(4, 8196), Span(8724, 12820), Span(16388, 65536))


@pytest.mark.parametrize("code", [-1, 10])
def test_span_refuses_what_is_outside(code):
    with pytest.raises(ValueError, match="code"):
        Span(5, 15).id(code)
    with pytest.raises(ValueError, match="id"):
        Span(5, 15).code(code + 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": [20, 40]}, "overlaps"),
        ({"speech": [300, 400_000]}, "outside"),
        ({"specials": {"bos": 0}}, "amiss"),
        ({"specials": dict.fromkeys(SPECIALS, 3)}, "overlaps"),
    ],
)
def test_bad_layouts_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary.from_dict(LAYOUTS[0].to_dict() | change)
