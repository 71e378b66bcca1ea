"""The app as people see it: Chromium, and the bundled model behind the page."""

import base64
import json
import zipfile
from difflib import SequenceMatcher
from io import BytesIO
from urllib.request import urlopen

import numpy as np
import pytest

from ar_omni.app.models import Models
from ar_omni.evaluation.heldout import HeldOut
from ar_omni.media import Audio
from ar_omni.terminal import QUESTION
from tests.app.browser import CHROMIUM, RunningApp, chromium, ended, say, shot, visit, wish

playwright_api = pytest.importorskip("playwright.sync_api")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium"),
]
SPOKEN = "arOmniSpeech.state.ended && arOmniSpeech.played() >= arOmniSpeech.state.received"
"""The speech has been played to its end."""
FREEZE = "(arOmniSpeech.context.suspend(), true)"
"""A slow machine has time to interrupt even short speech; the next touch or key lets it go on."""
FIGURES = """() => {
  const { state, played } = arOmniSpeech;
  return { gaps: state.gaps, received: state.received, played: played(), scheduled: window.scheduled };
}"""
RENDER = """async () => {
  const parts = [...scheduled], [first] = parts, last = parts.at(-1), rate = first.rate;
  const length = Math.round((last.when - first.when) * rate) + last.samples.length;
  const context = new OfflineAudioContext(1, length, rate);
  for (const { when, samples } of parts) {
    const buffer = context.createBuffer(1, samples.length, rate);
    buffer.copyToChannel(new Float32Array(samples), 0);
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(context.destination);
    source.start(when - first.when);
  }
  return Array.from((await context.startRendering()).getChannelData(0));
}"""
"""What the browser makes of the schedule."""
DROP = """(data) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "picture.png", { type: "image/png" }));
  const target = document.querySelector("#box [role=group]");
  for (const kind of ["dragenter", "dragover", "drop"])
    target.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    models = Models(None, tmp_path_factory.mktemp("models"))
    models.get(models.default)
    app = RunningApp(models)
    yield app
    app.stop()


def spoken_question(tmp_path_factory):
    """The bundled question, with time to start recording before it."""
    question = Audio.load(QUESTION)
    silence = np.zeros(question.sample_rate, np.float32)
    path = tmp_path_factory.mktemp("microphone") / "question.wav"
    Audio(np.concatenate([silence, question.samples, silence]), question.sample_rate).save(path)
    return path


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    with (
        playwright_api.sync_playwright() as playwright,
        chromium(
            playwright,
            tmp_path_factory.mktemp("profile"),
            f"--use-file-for-fake-audio-capture={spoken_question(tmp_path_factory)}%noloop",
            viewport={"width": 1100, "height": 800},
        ) as context,
    ):
        yield context


@pytest.fixture
def page(app, context):
    page = visit(context, app.url)
    yield page
    page.close()


def test_typing_gives_text_a_picture_and_speech_without_gaps(app, page):
    shot(page, "welcome")
    say(page, "show me a red apple")
    page.wait_for_selector("#newest .speaking, #newest .turn.ended")
    shot(page, "answering")
    turn = ended(page)
    page.wait_for_function(SPOKEN)
    heard = page.evaluate(FIGURES)
    made = app.turns()[-1].speech.audio
    played = np.concatenate([np.float32(part["samples"]) for part in heard["scheduled"]])
    assert heard["played"] == heard["received"] == len(made.samples)
    assert np.array_equal(played, made.samples)
    breaks = sum(
        round(after["when"] * made.sample_rate)
        != round(before["when"] * made.sample_rate) + len(before["samples"])
        for before, after in zip(heard["scheduled"], heard["scheduled"][1:], strict=False)
    )
    assert breaks == heard["gaps"]
    if app.turns()[-1].stats.rtf < 0.5:  # nothing else takes the processor away from the model
        assert heard["gaps"] == 0
    if not breaks:
        assert np.allclose(page.evaluate(RENDER), made.samples, atol=1e-6)
    assert turn.locator(".text").inner_text()
    assert turn.locator(".picture.whole img").count() == (app.turns()[-1].picture is not None)
    assert "first chunk after" in turn.locator(".figures").inner_text()
    assert "real-time factor" in turn.locator(".figures").inner_text()
    shot(page, "answered")
    assert page.trouble == []
    foreign = [url for url in page.asked if not url.startswith((app.url, "data:", "blob:"))]
    assert foreign == [], "something was fetched from elsewhere"


def test_speaking_shows_what_was_heard(page):
    wish(page, "Text")
    page.click("#microphone button")
    page.wait_for_selector("#microphone .recording")
    shot(page, "recording")
    page.wait_for_timeout(3_500)
    page.click("#microphone button")
    page.wait_for_selector("#newest .asked audio")
    page.wait_for_selector("#newest .heard")
    ended(page)
    said = page.locator("#newest .heard").inner_text().strip("“”")
    assert SequenceMatcher(None, "show me a red apple", said).ratio() > 0.5, said
    shot(page, "heard")


def test_a_dropped_picture_is_described(page):
    file, held_out = BytesIO(), HeldOut()
    pair = next(pair for pair in held_out.pairs if pair.seen)
    held_out.pictures[pair.name, pair.style].save(file, "png")
    wish(page, "Text")
    page.evaluate(DROP, base64.b64encode(file.getvalue()).decode())
    page.wait_for_selector("#box .thumbnails img")
    page.press("#box textarea", "Enter")
    page.wait_for_selector("#newest .asked img")
    assert ended(page).locator(".text").inner_text()
    assert page.locator("#box .thumbnails img").count() == 0
    shot(page, "picture")


def test_stop_stops_the_model_and_sending_interrupts(app, page):
    wish(page, "Text", "Speech")
    say(page, "tell me a joke")
    page.wait_for_function(f"arOmniSpeech.played() > 2400 && {FREEZE}")
    page.click("#voice button")
    page.wait_for_selector("#newest .note:has-text('stopped')")
    assert app.idle()
    first = app.turns()[-1]
    assert 2400 < len(first.speech) < page.evaluate("arOmniSpeech.state.received") + 1
    say(page, "good morning")
    page.wait_for_function(
        f"arOmniSpeech.state.turn !== '{first.id}' && arOmniSpeech.played() > 2400 && {FREEZE}"
    )
    say(page, "hello")
    page.wait_for_selector("#past .note:has-text('stopped') >> nth=1")
    second = app.turns()[-2]
    assert second.speech.ended
    lengths = page.locator("#past audio").evaluate_all("all => all.map((one) => one.src)")
    assert lengths[-1].endswith(f"speech-{len(second.speech)}.wav"), "what was played stays"
    ended(page)
    shot(page, "interrupted")


def test_two_people_and_a_page_that_is_loaded_again(app, context, page):
    wish(page, "Text")
    other = visit(context, app.url)
    wish(other, "Text")
    say(page, "hello")
    say(other, "good evening")
    ended(page)
    ended(other)
    assert "good evening" not in page.inner_text("#conversation")
    assert "hello" not in other.locator(".asked").all_inner_texts()
    before = page.inner_text("#newest .bubble >> nth=1")
    page.reload(wait_until="domcontentloaded")
    page.wait_for_selector("#newest .turn")
    assert page.inner_text("#newest .bubble >> nth=1") == before
    address = page.get_attribute("#about .download", "href")
    with zipfile.ZipFile(BytesIO(urlopen(f"{app.url}/{address}", timeout=20).read())) as file:
        messages = json.loads(file.read("conversation.json"))["messages"]
    assert messages[0]["content"] == [{"type": "text", "text": "hello"}]
    other.close()
    assert app.eventually(lambda: any(not one.sessions for one in app.visitors._known.values())), (
        "nobody left"
    )


def test_again_edit_and_new(app, page):
    wish(page, "Text")
    say(page, "hello")
    ended(page)
    first = app.turns()[-1].id
    page.click("#newest [data-do=again]")
    page.wait_for_selector(f"#newest .turn.ended:not([data-turn='{first}'])")
    assert len(app.turns()) == 1
    page.click("#newest [data-do=edit]")
    page.fill("#newest .editor textarea", "good night")
    shot(page, "editing")
    page.press("#newest .editor textarea", "Enter")
    page.wait_for_selector("#newest .turn.ended .asked:has-text('good night')")
    assert len(app.turns()) == 1
    page.click("#fresh")
    page.wait_for_selector(".welcome")
    assert page.locator(".turn").count() == 0


def test_a_phone_in_the_dark(page):
    page.emulate_media(color_scheme="dark")
    page.goto(page.url.split("?")[0] + "?__theme=dark", wait_until="domcontentloaded")
    page.set_viewport_size({"width": 390, "height": 780})
    page.wait_for_selector(".welcome")
    shot(page, "phone-welcome")
    page.click(".example >> nth=0")
    ended(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shot(page, "phone")
    page.set_viewport_size({"width": 1100, "height": 800})
    shot(page, "dark")


def test_the_status_panel_is_doctors(page):
    page.click("#side .toggle-button")
    page.click("#side >> text=Status")
    page.wait_for_selector("#panel .facts")
    page.wait_for_timeout(500)
    assert "weights" in page.inner_text("#panel")
    shot(page, "status")


def test_the_microphone_needs_https_elsewhere(app, context):
    page = visit(context, f"http://people.test:{app.port}")
    assert page.is_disabled("#microphone button")
    assert "--ssl-certfile" in page.inner_text("#microphone .hint")
    page.close()
