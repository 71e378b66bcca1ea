"""Every way in, in Chromium: pictures dropped or pasted, recordings spoken or uploaded, and the controls."""

import base64
from difflib import SequenceMatcher

import pytest

from ar_omni.evaluation.heldout import HeldOut
from ar_omni.serving.replies import picture_bytes
from ar_omni.terminal import QUESTION
from tests.app.browser import NEEDS_CHROMIUM, ended, say, shot, wish

pytestmark = [pytest.mark.slow, NEEDS_CHROMIUM]
DROP = """(data) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "picture.png", { type: "image/png" }));
  const target = document.querySelector("#box [role=group]");
  for (const kind of ["dragenter", "dragover", "drop"])
    target.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""
COPY = """async (data) => {
  const png = await (await fetch(`data:image/png;base64,${data}`)).blob();
  await navigator.clipboard.write([new ClipboardItem({ "image/png": png })]);
}"""


def dropped(page, png):
    page.evaluate(DROP, png)


def pasted(page, png):
    """As a person does it: the picture is on the clipboard of the browser, and the keys paste it."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=page.url)
    page.evaluate(COPY, png)
    page.press("#box textarea", "Control+V")


@pytest.fixture(scope="module")
def picture():
    held_out = HeldOut()
    pair = next(pair for pair in held_out.pairs if pair.seen)
    return held_out.pictures[pair.name, pair.style]


@pytest.mark.parametrize("bring", [dropped, pasted])
def test_a_picture_is_described(app, page, picture, bring):
    wish(page, "Text")
    bring(page, base64.b64encode(picture_bytes(picture)).decode())
    page.wait_for_selector("#box .thumbnails img")
    shot(page, bring.__name__)
    page.press("#box textarea", "Enter")
    page.wait_for_selector("#newest .asked img")
    assert ended(page).locator(".text").inner_text()
    assert page.locator("#box .thumbnails img").count() == 0
    assert app.turns()[-1].parts[0]["image"].tobytes() == picture.convert("RGB").tobytes()
    shot(page, "picture")


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
    assert is_the_question(page.locator("#newest .heard").inner_text())
    shot(page, "heard")


def test_a_recording_is_uploaded(page):
    wish(page, "Text")
    page.set_input_files("#box input[type=file]", QUESTION)
    page.wait_for_selector("#box .thumbnails > *")
    page.press("#box textarea", "Enter")
    page.wait_for_selector("#newest .asked audio")
    ended(page)
    assert is_the_question(page.locator("#newest .heard").inner_text())


def is_the_question(said):
    return SequenceMatcher(None, "show me a red apple", said.strip("“”")).ratio() > 0.5


def test_the_controls_shape_the_answer(app, page):
    page.click("#style input")
    page.click("[role=option]:has-text('3d')")
    page.click("#side .toggle-button")
    page.fill("#side input[aria-label^='number input for Temperature']", "0.5")
    page.fill("#side input[aria-label='Seed']", "7")
    page.press("#side input[aria-label='Seed']", "Tab")
    shot(page, "advanced")
    page.click("#side .toggle-button")
    wish(page, "Picture")
    say(page, "a cat")
    ended(page)
    asked = app.turns()[-1].asked
    assert (asked["outputs"], asked["temperature"], asked["seed"]) == (("image",), 0.5, 7)
    assert page.inner_text("#newest .asked .bubble") == "a cat in 3d style"
    assert "seed 7" in page.inner_text("#newest .figures")
