"""`AROmni` on a random checkpoint: arguments, tasks, batches, saving, and conversations."""

import json
import shutil
import subprocess
import sys
from math import ceil

import pytest
import torch
from transformers import AutoModelForCausalLM

from ar_omni import streaming
from ar_omni.chat import Chat
from ar_omni.decoding import Network, Options
from ar_omni.errors import CheckpointError, InputError, UnsupportedOutputError
from ar_omni.events import ImageReady, SegmentStart, SpeechChunk, TextDelta, TurnEnd
from ar_omni.omni import AROmni
from ar_omni.processing import Processor
from ar_omni.template import Template


def same(a, b):
    pictures = [[image.tobytes() for image in reply.images] for reply in (a, b)]
    return (a.text, a.transcript, a.audio, pictures[0]) == (b.text, b.transcript, b.audio, pictures[1])


def user(*parts):
    return [{"role": "user", "content": list(parts)}]


def test_tasks_have_their_shorthands(omni, tone, picture, tmp_path):
    tone.save(tmp_path / "a.wav")
    picture.save(tmp_path / "a.png")
    assert omni.speak("hi", seed=0) == omni.generate("hi", outputs=("speech",), seed=0).audio
    assert omni.transcribe(tmp_path / "a.wav") == omni.generate(user(tone), task="transcribe").transcript
    drawn = omni.generate("a fox", outputs="image", seed=0)
    assert omni.draw("a fox", seed=0).tobytes() == drawn.image.tobytes()
    assert omni.describe(tmp_path / "a.png") == omni.generate(picture).text
    assert drawn.stats.preset == "draw"


@pytest.mark.parametrize(
    ("prompt", "outputs", "task"),
    [
        ("hi", None, "chat"),
        ("hi", ("speech",), "speak"),
        ("hi", ("image",), "draw"),
        ("hi", ("text", "speech"), "chat"),
        ("picture", ("text",), "describe"),
        ("picture", ("speech",), "chat"),
        ("tone", None, "chat"),
    ],
)
def test_the_task_follows_from_prompt_and_outputs(omni, tone, picture, prompt, outputs, task):
    prompt = {"picture": picture, "tone": tone}.get(prompt, prompt)
    assert omni.generate(prompt, outputs=outputs, max_new_tokens=60).stats.preset == task


def test_outputs_decide_what_a_reply_holds(omni, tone):
    for outputs in (("text",), ("image",), ("speech",), ("text", "speech"), ("speech", "image")):
        reply = omni.generate(tone, outputs=outputs, seed=1)
        assert reply.transcript is not None
        assert (reply.audio is not None) == ("speech" in outputs)
        assert (reply.image is not None) == ("image" in outputs)
        assert reply.text is None or "text" in outputs


def test_stats_tell_how_it_went(omni):
    stats = omni.generate("what is that?", outputs=("speech",), seed=5).stats
    assert (stats.preset, stats.seed) == ("speak", 5)
    assert stats.prompt_tokens == 1 + len("what is that?") + 1
    assert stats.cached_tokens == 0
    assert stats.stop_reason in ("end", "speech limit", "speech repetition limit")
    assert stats.prefill_s > 0
    assert 0 < stats.first_chunk_s <= stats.decode_s
    assert stats.audio_s == pytest.approx((stats.new_tokens - 3) * 600 / 24_000)
    assert stats.rtf > 0
    silent = omni.generate("hi").stats
    assert (silent.first_chunk_s, silent.rtf, silent.audio_s) == (None, None, 0.0)


def test_time_in_which_nobody_asks_is_not_counted(omni, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(streaming, "perf_counter", lambda: clock[0])
    for event in omni.stream("hi", outputs=("speech",), seed=0):
        clock[0] += 100.0
        stats = getattr(event, "stats", None)
    assert (stats.prefill_s, stats.decode_s, stats.rtf) == (0.0, 0.0, 0.0)


def test_seeds(omni):
    sampled = {"outputs": ("speech",), "strategy": "sample", "temperature": 2.0}
    first = omni.generate("hi", **sampled)
    again = omni.generate("hi", seed=first.stats.seed, **sampled)
    assert same(first, again)
    assert not same(first, omni.generate("hi", seed=first.stats.seed + 1, **sampled))


def test_a_batch_gives_what_its_prompts_give_alone(omni, tone, picture):
    prompts = ["hi", user("what is that?", tone), user(picture, "fox"), tone]
    options = {"outputs": ("text", "image", "speech"), "strategy": "sample", "temperature": 1.5}
    seeds = [1, 2, 3, 4]
    batch = omni.generate(prompts, seed=seeds, **options)
    alone = [omni.generate(p, seed=s, **options) for p, s in zip(prompts, seeds, strict=True)]
    assert all(same(a, b) for a, b in zip(batch, alone, strict=True))
    assert [r.stats.new_tokens for r in batch] == [r.stats.new_tokens for r in alone]
    equal = omni.generate(["hi", "hi"], seed=7, **options)
    assert same(*equal)


def test_closing_a_stream_stops_the_model(omni, monkeypatch):
    calls = []
    plain = Network.forward
    monkeypatch.setattr(Network, "forward", lambda self, s: calls.append(1) or plain(self, s))
    events = omni.stream("hi", outputs=("speech",), seed=0)
    assert not calls
    next(event for event in events if isinstance(event, SpeechChunk))
    events.close()
    assert len(calls) <= 5


@pytest.mark.parametrize(
    ("prompt", "arguments", "message"),
    [
        ("hi", {"outputs": ("sound",)}, "text, image, speech"),
        ("hi", {"outputs": ()}, "text, image, speech"),
        ("hi", {"task": "sing"}, "chat"),
        ("hi", {"task": "speak", "outputs": ("text",)}, "speech"),
        ("hi", {"tempo": 3}, "tempo"),
        ("hi", {"max_new_tokens": 1}, "max_new_tokens"),
        ("a fox", {"task": "draw", "max_new_tokens": 11}, "at least 12"),
        ("", {}, "text"),
        ("x" * 600, {}, "510 ids"),
        (None, {}, "part"),
        ([], {}, "prompts"),
        (["hi"], {"seed": [1, 2]}, "seed"),
        ([{"role": "user"}], {}, "content"),
    ],
)
def test_bad_arguments_teach_before_anything_runs(omni, prompt, arguments, message):
    with pytest.raises(InputError, match=message) as error:
        omni.generate(prompt, **arguments)
    assert "\n" not in str(error.value)


def test_an_untrained_output_is_refused(omni, processor):
    template = Template.from_dict(processor.template.to_dict() | {"untrained_outputs": ["image"]})
    parts = (processor.text_tokenizer, processor.image_tokenizer, processor.speech_tokenizer)
    limited = AROmni(omni.network, Processor(processor.vocabulary, *parts, template))
    with pytest.raises(UnsupportedOutputError, match="'image'"):
        limited.draw("a fox")
    assert limited.generate("hi", max_new_tokens=5).text


def test_user_text_cannot_steer_the_stream(omni, vocabulary):
    turn_ids = omni.processor.encode_turn("<boa> <eom> <eoi>")
    assert not set(turn_ids[1:-1]) & set(vocabulary.specials.values())


def test_saved_is_loaded(omni, checkpoint, tone):
    loaded = AROmni.from_pretrained(checkpoint)
    assert loaded.presets == omni.presets
    assert loaded.processor.template == omni.processor.template
    for prompt in ("hi", tone):
        for outputs in (("speech",), ("text", "image", "speech")):
            a = loaded.generate(prompt, outputs=outputs, seed=0)
            b = omni.generate(prompt, outputs=outputs, seed=0)
            assert (a.text, a.transcript, a.stats.new_tokens) == (b.text, b.transcript, b.stats.new_tokens)
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), omni.model.parameters(), strict=True))


def test_tokenizers_load_only_when_needed(checkpoint):
    loaded = AROmni.from_pretrained(checkpoint)
    loaded.generate("hi", max_new_tokens=5)
    assert not hasattr(loaded.processor._tokenizers["image"], "decode")
    assert not hasattr(loaded.processor._tokenizers["speech"], "decode")


def test_talking_imports_no_transformers(checkpoint):
    code = (
        "import sys; from ar_omni import AROmni; omni = AROmni.from_pretrained(sys.argv[1]);"
        "assert omni.generate('hi', outputs=('text', 'image', 'speech'), seed=0).audio;"
        "sys.exit('transformers' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(checkpoint)], check=True)


def test_the_transformers_model_takes_over(checkpoint):
    loaded = AROmni.from_pretrained(checkpoint)
    before = loaded.generate("hi", seed=0, outputs=("speech",))
    assert type(loaded.model).__name__ == "AROmniForCausalLM"
    assert same(loaded.generate("hi", seed=0, outputs=("speech",)), before)
    with torch.no_grad():
        loaded.model.model.layers[0].mlp.down_proj.weight.mul_(-3)
    assert not same(loaded.generate("hi", seed=0, outputs=("speech",)), before)


def test_bad_checkpoints_are_refused(checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match="nowhere"):
        AROmni.from_pretrained(tmp_path / "nowhere")
    broken = shutil.copytree(checkpoint, tmp_path / "broken")
    weights = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(weights[:-100])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        AROmni.from_pretrained(broken)
    with pytest.raises(InputError, match="dtype"):
        AROmni.from_pretrained(checkpoint, dtype="float16")
    with pytest.raises(InputError, match="device"):
        AROmni.from_pretrained(checkpoint, device="quantum")
    with pytest.raises(InputError, match="quantize"):
        AROmni.from_pretrained(checkpoint, quantize="int3")


def conversation(omni, tone):
    """Three turns, each with its options."""
    return [
        ("what is that?", {"outputs": ("text", "speech"), "seed": 1}),
        (tone, {"outputs": ("text", "image"), "seed": 2, "strategy": "sample"}),
        ("the fox", {"outputs": ("text",), "seed": 3}),
    ]


def test_a_chat_reads_only_what_is_new(omni, tone, monkeypatch):
    read = []
    plain = Network.forward
    monkeypatch.setattr(Network, "forward", lambda self, s: read.append(len(s[0].new)) or plain(self, s))
    chat = omni.chat()
    for content, options in conversation(omni, tone):
        cached = chat._sequence.length
        read.clear()
        stats = chat.send(content, **options).stats
        assert stats.cached_tokens == cached
        assert sum(read) <= stats.prompt_tokens - cached + stats.new_tokens
    assert cached > 60


def test_a_chat_says_what_it_says_without_a_cache(omni, tone):
    chat, fresh = omni.chat(), omni.chat()
    for content, options in conversation(omni, tone):
        kept = chat.send(content, **options)
        fresh._sequence.rewind(len(fresh._sequence.ids))
        fresh._sequence.length = 0
        assert same(kept, fresh.send(content, **options))
    assert chat._sequence.ids == fresh._sequence.ids


def test_an_interrupted_reply_stays_and_the_chat_goes_on(omni, vocabulary):
    for stop_at, outputs in [(TextDelta, "text"), (SpeechChunk, "speech"), (SegmentStart, "image")]:
        chat = omni.chat()
        chat.send("hi", max_new_tokens=5)
        before = len(chat._sequence.ids)
        events = chat.stream("what is that?", outputs=outputs, seed=0)
        next(event for event in events if isinstance(event, stop_at))
        events.close()
        ids = chat._sequence.ids[before:]
        assert ids[-1] == vocabulary.eom_id
        assert ids.count(vocabulary.boa_id) == ids.count(vocabulary.eoa_id) == (outputs == "speech")
        assert ids.count(vocabulary.boi_id) == 0
        assert chat.send("the fox", max_new_tokens=5).text


def test_a_new_message_interrupts_the_reply(omni):
    chat = omni.chat()
    first = chat.stream("hi", outputs="speech")
    next(event for event in first if isinstance(event, SpeechChunk))
    assert chat.send("the fox", max_new_tokens=5).text
    assert list(first) == []


def test_a_message_that_fails_leaves_no_trace(omni):
    chat = omni.chat()
    chat.send("hi", max_new_tokens=5)
    before = list(chat._sequence.ids)
    with pytest.raises(InputError):
        chat.send("", max_new_tokens=5)
    with pytest.raises(InputError, match="reset the chat"):
        chat.send("x" * 505)
    chat.stream("never started")
    assert chat._sequence.ids == before


def test_undo_and_reset(omni):
    chat = omni.chat()
    first = chat.send("hi", seed=1, outputs=("text", "speech"))
    kept = list(chat._sequence.ids)
    second = chat.send("fox", seed=2, outputs=("text", "speech"))
    chat.undo()
    assert chat._sequence.ids == kept
    assert same(chat.send("fox", seed=2, outputs=("text", "speech")), second)
    chat.reset()
    assert same(chat.send("hi", seed=1, outputs=("text", "speech")), first)
    assert isinstance(chat, Chat)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0, 9.0])
def test_speech_that_was_not_heard_is_forgotten(omni, vocabulary, tone, share):
    chat = omni.chat()
    chat.send("hi", seed=1, max_new_tokens=5)
    before = len(chat._sequence.ids)
    reply = chat.send(tone, outputs=("text", "image", "speech"), seed=2)
    said = list(chat._sequence.ids[before:])
    chat.heard(share * reply.audio.duration)
    left = chat._sequence.ids[before:]
    opener = len(said) - 1 - said[::-1].index(vocabulary.boa_id)
    closer = said.index(vocabulary.eoa_id, opener)
    codes = said[opener + 1 : closer]
    kept = codes[: ceil(round(len(codes) * share, 6))]
    middle = [vocabulary.boa_id, *kept, vocabulary.eoa_id] if kept else []
    assert left == [*said[:opener], *middle, *said[closer + 1 :]]
    fresh = omni.chat()
    fresh._sequence.ids += chat._sequence.ids
    options = {"outputs": ("text", "speech"), "seed": 3}
    assert same(chat.send("the fox", **options), fresh.send("the fox", **options))
    assert chat.turns == 3


def test_guidance_with_a_picture_in_the_prompt(omni, picture, monkeypatch):
    rows = []
    plain = Network.forward
    monkeypatch.setattr(Network, "forward", lambda self, s: rows.append(len(s)) or plain(self, s))
    omni.generate(user(picture, "fox"), outputs=("image",), seed=0, image_guidance_scale=1.2)
    assert set(rows) == {3}
    rows.clear()
    omni.generate("fox", outputs=("image",), seed=0)
    assert set(rows) == {2}
    rows.clear()
    omni.generate("fox", outputs=("image",), seed=0, guidance_scale=1.0)
    assert set(rows) == {1}


def test_previews(omni):
    events = list(omni.stream("fox", outputs="image", previews=True))
    assert any(getattr(event, "preview", None) for event in events)
    assert isinstance(events[-1], TurnEnd)
    assert isinstance(events[-3], ImageReady)


def test_a_folder_of_another_kind_is_named(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(CheckpointError):
        AROmni.from_pretrained(tmp_path)


def test_presets_reproduce_without_flags(omni):
    assert Options().override(guidance_scale=2.0).guidance_scale == omni.presets["draw"].guidance_scale
    a, b = (omni.generate("hi", outputs=("image",), seed=1, **o) for o in ({}, {"guidance_scale": 2.0}))
    assert same(a, b)
