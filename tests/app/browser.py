"""A running app and a Chromium that looks at it; every wait ends after a while."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import uvicorn

from ar_omni.app.command import create_app
from ar_omni.app.models import Models
from ar_omni.app.visitors import Visitors

CHROMIUM = Path("/usr/bin/chromium")
NEEDS_CHROMIUM = pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium")
PATIENCE_MS = 120_000
FLAGS = (
    *"--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking".split(),
    *"--disable-component-update --disable-sync".split(),
    *"--use-fake-ui-for-media-stream --use-fake-device-for-media-stream".split(),
    "--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
"""Only names that end in .test lead anywhere: the page has to do without the rest of the world."""
SPOKEN = "arOmniSpeech.state.ended && arOmniSpeech.played() >= arOmniSpeech.state.received"
"""The speech has been played to its end."""
FREEZE = "(arOmniSpeech.context.suspend(), true)"
"""A slow machine has time to interrupt even short speech; the next touch or key lets it go on."""
SCREENSHOTS = os.environ.get("AR_OMNI_SCREENSHOTS")
"""A folder to keep a picture of each state in, such as docs/app."""
RECORD = """
const connect = AudioNode.prototype.connect;
const WORKLET = `registerProcessor("tap", class extends AudioWorkletProcessor {
  blocks = [];
  constructor() {
    super();
    this.port.onmessage = () => this.port.postMessage(this.blocks);
  }
  process([[samples]]) {
    this.blocks.push(samples ? samples.slice() : new Float32Array(128));
    return true;
  }
})`;
async function tap(context) {
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([WORKLET], { type: "text/javascript" })));
  return new AudioWorkletNode(context, "tap", { numberOfOutputs: 0 });
}
AudioNode.prototype.connect = function (target, ...rest) {
  if (target === this.context.destination) this.context.tap?.then((node) => connect.call(this, node));
  return connect.call(this, target, ...rest);
};
window.AudioContext = class extends AudioContext {
  constructor(options) {
    super(options);
    this.suspend();
    this.tap = tap(this);
  }
  async resume() {
    await this.tap; // nothing sounds before it is heard
    return super.resume();
  }
};
window.sounded = async () => {
  const node = await arOmniSpeech.context.tap;
  const blocks = await new Promise((resolve) => {
    node.port.onmessage = ({ data }) => resolve(data);
    node.port.postMessage("give");
  });
  return blocks.flatMap((block) => Array.from(block));
};
"""
"""`sounded()`: every sample that the page has given to the loudspeakers, silence included."""


class RunningApp:
    """An app on loopback: `url`, its `visitors`, and `stop()`."""

    def __init__(self, models: Models, **options):
        self.visitors = Visitors(models, options.pop("most", 16))
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(
            create_app(self.visitors, **options), log_level="warning", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [sock]})
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)

    @property
    def engine(self):
        """Of the model that everyone starts with."""
        models = self.visitors.models
        return models.get(models.default).engine

    def turns(self):
        """Of the conversation that was used last."""
        return max(self.visitors._known.values(), key=lambda one: one.used_at).turns

    def idle(self):
        """Waits until the model does nothing; whether that came true in time."""
        return self.eventually(lambda: self.engine.load == (0, 0))

    def eventually(self, condition, seconds=40):
        """Waits for it; whether it came true in time."""
        stop = time.monotonic() + seconds
        while not condition() and time.monotonic() < stop:
            time.sleep(0.05)
        return condition()

    def stop(self):
        self._server.should_exit = True
        self._thread.join(20)


@contextmanager
def chromium(playwright, folder, *flags, **options):
    """A browser of its own, with a microphone that plays a file."""
    context = playwright.chromium.launch_persistent_context(
        str(folder), executable_path=str(CHROMIUM), args=[*FLAGS, *flags], timeout=PATIENCE_MS, **options
    )
    context.set_default_timeout(PATIENCE_MS)
    context.set_default_navigation_timeout(PATIENCE_MS)
    context.add_init_script(RECORD)
    try:
        yield context
    finally:
        context.close()


def visit(context, url):
    """A page that is ready; its `asked` and `trouble` are what it fetched and complained of."""
    page = context.new_page()
    page.asked, page.trouble = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.trouble.append(str(error)))
    page.on("console", lambda line: line.type == "error" and page.trouble.append(line.text))
    page.goto(url, wait_until="domcontentloaded")
    page.wait_for_selector(".welcome, .turn")
    return page


def foreign(page):
    """What the page wanted from elsewhere; data and blob URLs have no host."""
    hosts = {url: urlsplit(url).hostname or "127.0.0.1" for url in page.asked}
    return [url for url, host in hosts.items() if host != "127.0.0.1" and not host.endswith(".test")]


def sounded(page):
    """The samples that came out of the page, from the first to the last that is not silence."""
    samples = np.float32(page.evaluate("sounded()"))
    loud = np.flatnonzero(samples)
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples[:0]


def say(page, words):
    """Type a message and send it."""
    page.fill("#box textarea", words)
    page.press("#box textarea", "Enter")
    page.wait_for_selector(f"#newest .asked:has-text('{words}')")


def ended(page):
    """Waits for the reply; returns the newest turn."""
    page.wait_for_selector("#newest .turn.ended")
    return page.locator("#newest .turn")


def wish(page, *outputs):
    """Ask for these outputs and no others."""
    for name in ("Text", "Picture", "Speech"):
        page.set_checked(f"#outputs input[name={name}]", name in outputs)


def shot(page, name):
    """Keep a picture of the page, if somebody wants them."""
    if SCREENSHOTS:
        page.wait_for_timeout(400)
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")
