"""Speech that is listened to while it is made, and turns as events come."""

import re
import threading

import numpy as np
from PIL import Image

from ar_omni.app.rendering import one_turn
from ar_omni.app.turns import Speech, Turn
from ar_omni.events import ImageProgress, ImageReady, SegmentEnd, SpeechChunk, TextDelta, TranscriptDelta
from ar_omni.serving.engine import Waiting

CHUNKS = [np.full(n, 0.1 * n, np.float32) for n in (3, 1, 4)]


def test_every_listener_gets_all_samples():
    speech, early = Speech(), []
    listener = speech.listen()
    for chunk in CHUNKS:
        speech.push(chunk, 24_000)
        early.append(next(listener))
    assert early == [chunk.tobytes() for chunk in CHUNKS]
    speech.end()
    assert b"".join(listener) == b""
    assert b"".join(speech.listen()) == np.concatenate(CHUNKS).tobytes()
    assert np.array_equal(speech.audio.samples, np.concatenate(CHUNKS))


def test_a_listener_waits_for_samples():
    speech = Speech()
    threading.Timer(0.1, lambda: (speech.push(CHUNKS[0], 24_000), speech.end())).start()
    assert b"".join(speech.listen()) == CHUNKS[0].tobytes()


def test_speech_can_be_cut():
    speech = Speech()
    for chunk in CHUNKS:
        speech.push(chunk, 24_000)
    speech.end(5)
    assert len(speech) == 5
    assert b"".join(speech.listen()) == np.concatenate(CHUNKS)[:5].tobytes()


def test_events_are_folded_in():
    turn, small, picture = Turn([], {}), Image.new("RGB", (2, 2)), Image.new("RGB", (4, 4))
    turn.take(Waiting(2))
    assert turn.place == 2 and turn.empty
    for event in (TranscriptDelta("he"), TranscriptDelta("ard"), TextDelta("yes")):
        turn.take(event)
    assert (turn.place, turn.transcript, turn.text) == (None, "heard", "yes")
    turn.take(ImageProgress(1, 4, small))
    turn.take(ImageProgress(2, 4))
    assert turn.picture is small and (turn.progress, turn.previews) == (0.5, 1)
    turn.take(ImageReady(picture))
    assert turn.picture is picture and turn.progress == 1
    turn.take(SpeechChunk(CHUNKS[0], 24_000))
    turn.take(SegmentEnd("speech"))
    assert turn.speech.ended and len(turn.speech) == 3
    assert turn.nbytes == 3 * 16 + 4 * 3


def test_a_preview_is_not_taken_for_the_picture():
    """Browsers keep what an address gave them: between the last code and the picture there is a preview."""
    turn = Turn([], {})
    addresses = []
    for event in (
        ImageProgress(3, 4, Image.new("RGB", (2, 2))),
        ImageProgress(4, 4),
        ImageReady(Image.new("RGB", (4, 4))),
    ):
        turn.take(event)
        addresses.append(re.search(r"picture-\w+\.png", one_turn("conversation", turn))[0])
    assert addresses == ["picture-1.png", "picture-1.png", "picture-whole.png"]
    turn = Turn([], {})
    turn.take(ImageProgress(3, 4, Image.new("RGB", (2, 2))))
    turn.take(ImageProgress(4, 4))
    turn.end("stopped")
    assert turn.picture is None


def test_an_unfinished_picture_is_not_kept():
    turn = Turn([], {})
    turn.take(ImageProgress(1, 4, Image.new("RGB", (2, 2))))
    turn.end("stopped")
    assert turn.picture is None and turn.empty and turn.note == "stopped"
