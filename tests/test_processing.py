import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ar_omni.errors import CheckpointError, InputError
from ar_omni.media import Audio
from ar_omni.processing import ROLES, Processor
from ar_omni.template import Piece, Template
from ar_omni.vocabulary import SPECIALS, Vocabulary


def user(*parts):
    return {"role": "user", "content": list(parts)}


def spell(processor, ids):
    """Ids as readable words: <special>, text, image codes i7, speech codes s7."""
    v, words = processor.vocabulary, []
    names = {i: f"<{name}>" for name, i in v.specials.items()}
    for i in ids:
        kind = v.modality(i)
        words.append(
            names[i]
            if kind is None
            else processor.text_tokenizer.decode([v.text.code(i)])
            if kind == "text"
            else f"{kind[0]}{getattr(v, kind).code(i)}"
        )
    return "".join(words)


IMAGE, SPEECH = {"type": "image", "codes": range(9)}, {"type": "audio", "codes": [3, 1, 3]}
IMAGE_IDS, SPEECH_IDS = "<boi>" + "".join(f"i{n}" for n in range(9)) + "<eoi>", "<boa>s3s1s3<eoa>"


@pytest.mark.parametrize(
    ("task", "content", "stream"),
    [
        ("speak", "hi", "<bos>hi<eoh>"),
        ("draw", "a fox", "<bos>a fox<eoh>"),
        ("transcribe", [SPEECH], f"<bos>{SPEECH_IDS}<eoh>"),
        ("describe", [IMAGE], f"<bos>{IMAGE_IDS}<eoh>"),
        ("chat", ["a", IMAGE, SPEECH, "b"], f"<bos>a{IMAGE_IDS}{SPEECH_IDS}b<eoh>"),
    ],
)
def test_prompts_of_nano(processor, task, content, stream):
    ids = processor.encode_messages([{"role": "user", "content": content}], task)
    assert spell(processor, ids) == stream
    assert processor.encode_turn(content, task) == ids


def test_conversation_and_its_roles(processor):
    reply = {"role": "assistant", "content": [{"type": "transcript", "text": "hi"}, "yo", IMAGE, SPEECH]}
    example = processor.encode_example([user(SPEECH), reply, user("more")], "chat")
    assert (
        spell(processor, example.input_ids)
        == f"<bos>{SPEECH_IDS}<eoh><ins>hi<res>yo{IMAGE_IDS}{SPEECH_IDS}<eom>more<eoh>"
    )
    roles = [ROLES[role] for role in example.roles]
    expected = {"prompt": 7, "transcript": 4, "text": 2, "image": 11, "speech": 6}
    assert roles == [name for name, n in expected.items() for _ in range(n)] + ["prompt"] * 5
    first_turn = processor.encode_messages([user(SPEECH)])
    assert example.input_ids[: len(first_turn)] == first_turn
    assert example.input_ids[-5:] == processor.encode_turn("more", first=False)


def test_loss_weights_follow_task_and_role_end_included(processor):
    messages = [user(IMAGE), {"role": "assistant", "content": "dog"}]
    example = processor.encode_example(messages, "describe")
    table = {"describe": {"text": 2.0}, "chat": {"text": 9.0}}
    assert example.loss_weights(table) == [1.0] * 13 + [2.0] * 4
    assert example.input_ids[-1] == processor.vocabulary.eos_id
    assert example.loss_weights({}) == [1.0] * 17


def test_media_are_encoded_like_their_codes(processor, tone, picture, tmp_path):
    tone.save(tmp_path / "a.wav")
    picture.save(tmp_path / "a.png")
    codes = [
        {"type": "image", "codes": processor.image_tokenizer.encode(picture)},
        {"type": "audio", "codes": processor.speech_tokenizer.encode(Audio.load(tmp_path / "a.wav"))},
    ]
    by_codes = processor.encode_messages([user(*codes)])
    paths = {"type": "image", "image": tmp_path / "a.png"}, {"type": "audio", "audio": tmp_path / "a.wav"}
    assert processor.encode_messages([user(*paths)]) == by_codes
    assert processor.encode_turn([picture, Audio.load(tmp_path / "a.wav")]) == by_codes


def test_a_picture_that_is_shown_may_have_other_codes_than_one_that_is_drawn(processor, picture):
    class Seeing:
        """Sees one code where the tokenizer draws many."""

        codebook_size = processor.image_tokenizer.codebook_size
        encode = staticmethod(processor.image_tokenizer.encode)

        def encode_shown(self, image):
            return np.array([7])

    tokenizers = (processor.text_tokenizer, Seeing(), processor.speech_tokenizer)
    template = replace(processor.template, codes_per_shown_image=1)
    seeing = Processor(processor.vocabulary, *tokenizers, template)
    shown, drawn = (
        {"type": "image", "image": picture},
        processor.encode_part({"type": "image", "image": picture}),
    )
    seen = [seeing.vocabulary.boi_id, seeing.vocabulary.image.id(7), seeing.vocabulary.eoi_id]
    messages = [user(shown), {"role": "assistant", "content": [shown]}]
    ids = seeing.encode_example(messages, "chat").input_ids
    assert ids[1 : 1 + len(seen)] == seen and ids[-1 - len(drawn) : -1] == drawn
    assert seeing.encode_unconditional([user(shown)])[0][1:4] == seen
    with pytest.raises(InputError, match="expected 1 codes a picture, got 9"):
        seeing.encode_messages([user(IMAGE)])


def test_unconditional_rows(processor):
    assert [spell(processor, row) for row in processor.encode_unconditional([user("hi", SPEECH)])] == [
        "<bos><eoh>"
    ]
    with_image = processor.encode_unconditional([user("hi", IMAGE)])
    assert [spell(processor, row) for row in with_image] == [f"<bos>{IMAGE_IDS}<eoh>", "<bos><eoh>"]


@pytest.mark.parametrize("name", SPECIALS)
def test_spellings_of_specials_are_only_text(processor, name):
    ids = processor.encode_part({"type": "text", "text": f"<{name}> a<{name}>"})
    assert all(i in processor.vocabulary.text for i in ids)
    assert spell(processor, ids) == f"<{name}> a<{name}>"


def test_role_words_and_defaults_of_another_template(processor):
    tasks = {
        "chat": {
            "start": ["<bos>"],
            "turn": ["the", "{image}", "{text|fox}", "<eoh>", "dog"],
            "end": "<eom>",
        }
    }
    template = Template.from_dict(processor.template.to_dict() | {"tasks": tasks})
    other = Processor(processor.vocabulary, processor.text_tokenizer, None, None, template)
    assert spell(other, other.encode_turn([IMAGE])) == f"<bos>the{IMAGE_IDS}fox<eoh>dog"
    assert spell(other, other.encode_turn(["me", IMAGE], first=False)) == f"the{IMAGE_IDS}me<eoh>dog"


@pytest.mark.parametrize(
    ("messages", "task", "message"),
    [
        ("hello", "chat", "list of"),
        ([], "chat", "list of"),
        ([{"role": "system", "content": "x"}], "chat", '"role": "user"'),
        ([user("a"), user("b")], "chat", '"role": "assistant"'),
        ([user("a"), {"role": "assistant", "content": "b"}], "chat", "last message"),
        ([user("a"), {"role": "assistant", "content": "b"}, user("a")], "speak", "one message"),
        ([user()], "chat", "empty"),
        ([user("a")], "sing", "speak"),
        ([user(SPEECH)], "draw", "expected text"),
        ([user("a", IMAGE)], "describe", "expected image"),
        ([user(" ")], "chat", "text"),
        ([user("x" * 100_001)], "chat", "100,000"),
        ([user(3)], "chat", "int"),
        ([user({"type": "video"})], "chat", "video"),
        ([user({"type": "image", "path": "a.png"})], "chat", '"image"'),
        ([user({"type": "image", "image": "missing.png"})], "chat", "missing.png"),
        ([user({"type": "image", "codes": [1, 2]})], "chat", "9 codes"),
        ([user({"type": "audio", "codes": [32]})], "chat", "32"),
        ([user({"type": "audio", "audio": Audio(np.zeros(9000), 16000)})], "chat", "silence"),
        ([user({"type": "transcript", "text": "a"})], "chat", "transcript"),
    ],
)
def test_bad_messages_teach(processor, messages, task, message):
    with pytest.raises(InputError, match=message) as error:
        processor.encode_messages(messages, task)
    assert "\n" not in str(error.value)


def test_saved_processor_loads_the_same(processor, make_config, tmp_path, tone, picture):
    processor.save_pretrained(tmp_path)
    make_config().save_pretrained(tmp_path)
    loaded = Processor.from_pretrained(tmp_path)
    assert loaded.template == processor.template
    assert loaded.vocabulary == processor.vocabulary
    codes = {"type": "audio", "codes": [1, 2]}
    assert loaded.encode_turn(["a fox", codes]) == processor.encode_turn(["a fox", codes])
    assert len(loaded.encode_turn([tone, picture])) == len(processor.encode_turn([tone, picture]))


def test_tokenizer_of_another_checkpoint_is_refused(processor, tmp_path):
    processor.save_pretrained(tmp_path)
    v = Vocabulary.nano(8, 8, 8)
    (tmp_path / "config.json").write_text(json.dumps({"vocabulary": v.to_dict()}))
    with pytest.raises(CheckpointError, match="another checkpoint"):
        Processor.from_pretrained(tmp_path).encode_turn("hi")
    with pytest.raises(CheckpointError, match="vocabulary"):
        Processor.from_pretrained(tmp_path / "nowhere")


def test_pieces():
    assert Piece.parse("<eoh>") == Piece(control="eoh")
    assert Piece.parse("{text|say: {x}}") == Piece(slot="text", text="say: {x}")
    assert Piece.parse("<eoh> ") == Piece(text="<eoh> ")
    assert Piece.parse("{video}") == Piece(text="{video}")


@pytest.mark.parametrize("values", [{}, {"tasks": {"chat": {}}}, {"tasks": 3}])
def test_bad_template_is_refused(values):
    with pytest.raises(CheckpointError, match=r"processor_config\.json"):
        Template.from_dict(values)


def test_transparent_picture_is_laid_over_white(processor):
    clear, white = Image.new("RGBA", (8, 8), (255, 0, 0, 0)), Image.new("RGB", (8, 8), "white")
    assert processor.encode_turn([clear]) == processor.encode_turn([white])
