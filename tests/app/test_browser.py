"""The app as people see it: Chromium, and the bundled model behind the page."""

import json
import zipfile
from io import BytesIO
from urllib.request import urlopen

import pytest

from tests.app.browser import FREEZE, NEEDS_CHROMIUM, ended, say, shot, visit, wish

pytestmark = [pytest.mark.slow, NEEDS_CHROMIUM]


def test_typing_gives_text_a_picture_and_speech(app, page):
    shot(page, "welcome")
    say(page, "show me a red apple")
    page.wait_for_selector("#newest .speaking, #newest .turn.ended")
    shot(page, "answering")
    turn = ended(page)
    assert turn.locator(".text").inner_text()
    assert turn.locator(".picture.whole img").count() == (app.turns()[-1].picture is not None)
    assert turn.locator("audio").count() == 1
    assert "first chunk after" in turn.locator(".figures").inner_text()
    assert "real-time factor" in turn.locator(".figures").inner_text()
    shot(page, "answered")
    assert page.trouble == []


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
