"""Events say what the tokens say: streamed speech equals decoded speech, a reply is the sum of its events."""

import numpy as np
import pytest

from ar_omni.decoding import State, Token
from ar_omni.events import (
    ImageProgress,
    ImageReady,
    SegmentEnd,
    SegmentStart,
    SpeechChunk,
    TextDelta,
    TranscriptDelta,
    TurnEnd,
)
from ar_omni.segments import CHUNKS
from ar_omni.streaming import Assembler, collect


@pytest.fixture
def assemble(processor):
    """`assemble([(state, ids)], previews)` -> events."""

    def run(segments, previews=False):
        assembler = Assembler(processor, previews)
        return [e for state, ids in segments for i in ids for e in assembler.push(Token(0, i, state))]

    return run


def wrap(vocabulary, name, codes):
    opener, closer, span = {
        "image": (vocabulary.boi_id, vocabulary.eoi_id, vocabulary.image),
        "speech": (vocabulary.boa_id, vocabulary.eoa_id, vocabulary.speech),
        "transcript": (vocabulary.ins_id, vocabulary.res_id, vocabulary.text),
    }[name]
    return State(name), [opener, *(span.id(int(code)) for code in codes), closer]


@pytest.mark.parametrize("count", [1, 3, 4, 5, 12, 28, 29, 90])
def test_streamed_speech_equals_offline_speech(processor, vocabulary, assemble, count):
    codes = np.random.default_rng(count).integers(0, 32, count)
    events = assemble([wrap(vocabulary, "speech", codes), (State.END, [vocabulary.eos_id])])
    chunks = [event for event in events if isinstance(event, SpeechChunk)]
    offline = processor.speech_tokenizer.decode(codes)
    np.testing.assert_allclose(collect(events).audio.samples, offline.samples, atol=1e-4)
    assert {chunk.sample_rate for chunk in chunks} == {offline.sample_rate}
    assert events[0] == SegmentStart("speech")
    assert events[-1] == SegmentEnd("speech")
    assert len(chunks[0].pcm) <= CHUNKS[0] * processor.speech_tokenizer.hop_length


def test_first_speech_comes_after_the_first_codes(vocabulary, assemble):
    state, ids = wrap(vocabulary, "speech", range(20))
    for taken, chunks in [(CHUNKS[0], 0), (CHUNKS[0] + 1, 1), (CHUNKS[0] + CHUNKS[1] + 1, 2)]:
        events = assemble([(state, ids[:taken])])
        assert sum(isinstance(event, SpeechChunk) for event in events) == chunks


def test_every_segment_in_order(processor, vocabulary, assemble):
    heard, said = (processor.text_tokenizer.encode(text) for text in ("what is that?", "a café 🍎"))
    picture = list(range(9))
    events = assemble(
        [
            wrap(vocabulary, "transcript", heard),
            (State.TEXT, [vocabulary.text.id(code) for code in said]),
            wrap(vocabulary, "image", picture),
            wrap(vocabulary, "speech", [1, 2, 3]),
            (State.END, [vocabulary.eom_id]),
        ]
    )
    names = [event.modality for event in events if isinstance(event, SegmentStart)]
    assert names == ["transcript", "text", "image", "speech"]
    assert names == [event.modality for event in events if isinstance(event, SegmentEnd)]
    assert [e.done for e in events if isinstance(e, ImageProgress)] == list(range(1, 10))
    reply = collect(events)
    assert (reply.transcript, reply.text) == ("what is that?", "a café 🍎")
    assert reply.image.tobytes() == processor.image_tokenizer.decode(picture).tobytes()
    assert all("\N{REPLACEMENT CHARACTER}" not in e.text for e in events if isinstance(e, TextDelta))


def test_text_around_a_picture_is_two_segments(vocabulary, assemble):
    letter = vocabulary.text.id(300 - vocabulary.text.start)
    events = assemble([(State.TEXT, [letter]), wrap(vocabulary, "image", [0] * 9), (State.TEXT, [letter])])
    events += assemble([(State.END, [vocabulary.eom_id])])
    assert [e.modality for e in events if isinstance(e, SegmentStart)] == ["text", "image", "text"]
    assert len(collect(events).images) == 1


def test_previews_show_the_unfinished_picture(processor, vocabulary, assemble):
    segment = wrap(vocabulary, "image", range(9))
    assert all(e.preview is None for e in assemble([segment]) if isinstance(e, ImageProgress))
    shown = [e for e in assemble([segment], previews=True) if isinstance(e, ImageProgress) and e.preview]
    assert [e.done for e in shown] == [2, 4, 6, 8]
    assert shown[0].preview.size == (24, 24)


def test_nothing_in_nothing_out():
    reply = collect([])
    assert (reply.text, reply.transcript, reply.image, reply.audio, reply.stats) == (None,) * 5


def test_generate_is_collect_of_stream_for_every_output(omni, tone):
    message = [{"role": "user", "content": ["what is that?", tone]}]
    for outputs in (("text",), ("image",), ("speech",), ("text", "image", "speech")):
        events = list(omni.stream(message, outputs=outputs, task="chat", seed=3))
        whole, reply = omni.generate(message, outputs=outputs, task="chat", seed=3), collect(events)
        assert (whole.text, whole.transcript, whole.audio) == (reply.text, reply.transcript, reply.audio)
        assert [i.tobytes() for i in whole.images] == [i.tobytes() for i in reply.images]
        assert isinstance(events[-1], TurnEnd)
        assert any(isinstance(e, TranscriptDelta | SegmentStart) for e in events)
        if "speech" in outputs:
            assert reply.audio.duration > 0
        if outputs == ("image",):
            assert len([e for e in events if isinstance(e, ImageReady)]) == 1
