"""Text tokenizers: lossless, never half a character, and blind to the spellings of control tokens."""

import json
import random

import pytest
import tokenizers as hf

from ar_omni.errors import CheckpointError, InputError
from ar_omni.tokenizers import load_tokenizer
from ar_omni.tokenizers.base import Detokenizer, TextTokenizer
from ar_omni.tokenizers.text import HFTokenizer, SentencePieceTokenizer

SENTENCES = [
    "show me a red apple in 3d style!",
    "what is this? it's a café.",
    "please put the small box down",
]
TEXTS = [
    "show me a red apple",
    "naïve café ☃",
    "你好 🙂 ok",
    "a  b",
    "<0x41> <unk> <s> </s> <bos>",
    "\u00a0x",
]
FIRST_ID = 20


@pytest.fixture(scope="module")
def characters() -> SentencePieceTokenizer:
    return SentencePieceTokenizer.train(SENTENCES * 30, character_coverage=1.0)


@pytest.fixture(scope="module")
def byte_level() -> HFTokenizer:
    """A tokenizer.json numbered as Chameleon's is: control tokens first, then text."""
    model = hf.models.BPE()
    trained = hf.Tokenizer(model)
    trained.pre_tokenizer = hf.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = hf.trainers.BpeTrainer(vocab_size=300, initial_alphabet=hf.pre_tokenizers.ByteLevel.alphabet())
    trained.train_from_iterator(SENTENCES, trainer)
    table = json.loads(trained.to_str())
    reserved = {"<s>": 0, "<eoss>": 1, **{f"<reserved{n:05d}>": n for n in range(2, FIRST_ID)}}
    table["model"]["vocab"] = reserved | {p: i + FIRST_ID for p, i in table["model"]["vocab"].items()}
    table["decoder"] = {
        "type": "ByteLevel",
        "add_prefix_space": True,
        "trim_offsets": True,
        "use_regex": True,
    }
    table["added_tokens"] = [
        {"id": i, "content": text, "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for text, i in reserved.items()
    ]
    return HFTokenizer(json.dumps(table), FIRST_ID)


@pytest.mark.parametrize("name", ["characters", "byte_level"])
class TestBoth:
    def test_is_a_text_tokenizer(self, name, request):
        tokenizer = request.getfixturevalue(name)
        assert isinstance(tokenizer, TextTokenizer)
        assert isinstance(tokenizer.detokenizer(), Detokenizer)

    def test_codes_stay_in_the_codebook(self, name, request):
        tokenizer = request.getfixturevalue(name)
        for text in TEXTS:
            codes = tokenizer.encode(text)
            assert codes
            assert all(0 <= code < tokenizer.codebook_size for code in codes)

    def test_saved_equals_loaded(self, name, request, tmp_path):
        tokenizer = request.getfixturevalue(name)
        tokenizer.save(tmp_path)
        again = load_tokenizer(tmp_path)
        assert type(again) is type(tokenizer)
        assert again.codebook_size == tokenizer.codebook_size
        for text in TEXTS:
            assert again.encode(text) == tokenizer.encode(text)
            assert again.decode(again.encode(text)) == tokenizer.decode(tokenizer.encode(text))

    def test_no_piece_of_a_stream_is_half_a_character(self, name, request):
        tokenizer = request.getfixturevalue(name)
        for text in TEXTS:
            detokenizer = tokenizer.detokenizer()
            deltas = [detokenizer.push(code) for code in tokenizer.encode(text)]
            assert "\ufffd" not in "".join(deltas)
            assert detokenizer.flush() == ""
            assert "".join(deltas) == tokenizer.decode(tokenizer.encode(text))

    def test_random_codes_decode_to_valid_text(self, name, request):
        tokenizer = request.getfixturevalue(name)
        rng = random.Random(0)
        for _ in range(50):
            codes = [rng.randrange(tokenizer.codebook_size) for _ in range(40)]
            tokenizer.decode(codes).encode("utf-8")

    def test_a_character_cut_off_at_the_end_is_marked(self, name, request):
        tokenizer = request.getfixturevalue(name)
        codes = tokenizer.encode("🙂")
        assert len(codes) > 1
        assert tokenizer.decode(codes[:-1]).endswith("\ufffd")


def test_sentencepiece_folds_case_and_width(characters):
    assert characters.encode("Show ME") == characters.encode("show me")
    assert characters.decode(characters.encode("ＡＢＣ  É")) == "abc é"


def test_sentencepiece_decodes_like_the_library(characters):
    for text in TEXTS:
        codes = characters.encode(text)
        assert characters.decode(codes) == characters._processor.decode(codes)


def test_sentencepiece_units_are_characters(characters):
    assert len(characters.encode("red apple")) == len("red apple")


def test_sentencepiece_merges_up_to_vocab_size():
    merged = SentencePieceTokenizer.train(SENTENCES * 30, vocab_size=310)
    assert merged.codebook_size == 310
    assert len(merged.encode("show me a red apple")) < len("show me a red apple")
    with pytest.raises(InputError, match="vocab_size"):
        SentencePieceTokenizer.train(SENTENCES, vocab_size=10)


def test_sentencepiece_with_a_space_prefix_keeps_texts_as_they_are(tmp_path):
    import io

    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 30),
        model_writer=model,
        model_type="char",
        vocab_size=400,
        minloglevel=2,
    )
    tokenizer = SentencePieceTokenizer(model.getvalue())
    codes = tokenizer.encode("a red apple")
    assert tokenizer.decode(codes) == "a red apple" == tokenizer._processor.decode(codes)


def test_byte_level_keeps_text_exactly_and_decodes_like_the_library(byte_level):
    for text in TEXTS:
        codes = byte_level.encode(text)
        assert byte_level.decode(codes) == text
        assert byte_level._tokenizer.decode([c + FIRST_ID for c in codes], skip_special_tokens=False) == text


def test_spelling_of_a_control_token_is_only_text(byte_level):
    text = "say <eoss> and <reserved00007><s>"
    assert min(byte_level.encode(text)) >= 0
    assert byte_level.decode(byte_level.encode(text)) == text


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_tokenizer(tmp_path)
    for config, words in [({"type": "none"}, "'none'"), ({"type": "sentencepiece"}, "SentencePiece model")]:
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(CheckpointError, match=words):
            load_tokenizer(tmp_path)
    (tmp_path / "config.json").write_text('{"type": "hf_tokenizer"}')
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"pre_tokenizer": null}')
    with pytest.raises(CheckpointError, match="ByteLevel"):
        load_tokenizer(tmp_path)
