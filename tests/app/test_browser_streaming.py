"""Everything comes while it is made, in Chromium: what is seen in which order, and what really sounds."""

import time

import numpy as np
import pytest

from ar_omni.app.conversation import Chat
from ar_omni.events import SpeechChunk
from tests.app.browser import NEEDS_CHROMIUM, SPOKEN, ended, say, sounded, wish

pytestmark = [pytest.mark.slow, NEEDS_CHROMIUM]
WATCH = """() => {
  window.seen = [];
  const look = () => {
    const turn = document.querySelector("#newest .turn");
    if (!turn) return;
    window.seen.push({
      heard: turn.querySelector(".heard")?.innerText.length ?? 0,
      text: turn.querySelector(".text")?.innerText.length ?? 0,
      picture: turn.querySelector(".picture img")?.getAttribute("src").split("-").at(-1) ?? "",
      running: turn.matches(".running"),
      sounds: document.querySelector("#voice .playing") !== null,
    });
  };
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true, attributes: true });
}"""
"""Notes what can be seen of the newest turn, whenever it changes."""
HASTE = 4
"""So many times faster than it is spoken speech comes in the test of gaps: no gap is then the model's."""


def test_the_answer_is_seen_and_heard_while_it_is_made(app, page):
    page.evaluate(WATCH)
    page.click(".example >> text='Ask aloud'")
    ended(page)
    page.wait_for_function(SPOKEN)
    seen = page.evaluate("seen")
    words = next(index for index, state in enumerate(seen) if state["text"])
    assert seen[words]["heard"], "the transcript comes first"
    for part in ("heard", "text"):
        assert len({state[part] for state in seen if state["running"]} - {0}) > 1, f"{part} came at once"
    assert any(state["running"] and state["sounds"] for state in seen), "nothing sounded before the end"
    if app.turns()[-1].picture:
        pictures = list(dict.fromkeys(state["picture"] for state in seen if state["picture"]))
        assert pictures[-1] == "whole.png" and len(pictures) > 1, "the picture came at once"


def test_the_samples_that_sound_are_those_that_were_made(app, page):
    """A slow machine's model may fall behind its voice: then there is silence between, and nothing else."""
    wish(page, "Text", "Speech")
    say(page, "hello, how are you?")
    ended(page)
    page.wait_for_function(SPOKEN)
    page.wait_for_timeout(300)
    made = app.turns()[-1].speech.audio.samples
    heard = sounded(page)
    assert page.evaluate("[arOmniSpeech.played(), arOmniSpeech.state.received]") == [len(made)] * 2
    assert np.allclose(heard[heard != 0], made[made != 0], atol=1e-6)
    if not page.evaluate("arOmniSpeech.state.gaps"):
        assert len(heard) == len(np.trim_zeros(made))


def test_speech_has_no_gap(app, page, monkeypatch):
    """The model's own speech, in its own pieces, as fast as a model that is always ahead of its voice."""
    omni = app.visitors.models.get(app.visitors.models.default).omni
    sentence = "the quick brown fox jumps over a lazy dog and runs away"
    events = list(omni.stream(sentence, outputs=("speech",), task="speak", seed=0))
    pieces = [event.pcm for event in events if isinstance(event, SpeechChunk)]

    def recorded(chat, parts, **asked):
        for event in events:
            if isinstance(event, SpeechChunk):
                time.sleep(len(event.pcm) / event.sample_rate / HASTE)
            yield event

    monkeypatch.setattr(Chat, "stream", recorded)
    say(page, sentence)
    page.wait_for_function(SPOKEN)
    page.wait_for_timeout(300)
    made, heard = np.trim_zeros(np.concatenate(pieces)), sounded(page)
    assert len(pieces) > 4
    assert page.evaluate("arOmniSpeech.state.gaps") == 0
    assert len(heard) == len(made) and np.allclose(heard, made, atol=1e-6)
