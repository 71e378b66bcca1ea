"""Several people at once, in Chromium: each has an answer of their own; whoever waits sees their place."""

import time
from contextlib import contextmanager

import pytest

from tests.app.browser import NEEDS_CHROMIUM, ended, say, shot, visit, wish

pytestmark = [pytest.mark.slow, NEEDS_CHROMIUM]
WORDS = ("hello", "good evening", "tell me a joke", "how are you?")
HOSTS = ("bob.test", "eve.test", "joe.test")
"""A browser opens few connections to a host; people who have a browser each do not share them."""


@contextmanager
def paused(engine):
    """A model that takes its time: it gets on when this is left."""
    step, engine._step = engine._step, lambda: time.sleep(0.02)
    try:
        yield
    finally:
        engine._step = step


def turn_of(app, words):
    """The turn that began with these words, whoever said them."""
    turns = [one.turns[-1] for one in app.visitors._known.values() if one.turns]
    return next(turn for turn in turns if turn.parts[0]["text"] == words)


def test_two_are_answered_while_others_see_their_place(app, context, page, monkeypatch):
    monkeypatch.setattr(app.engine, "slots", 2)
    pages = [*(visit(context, f"http://{host}:{app.port}") for host in HOSTS), page]
    with paused(app.engine):
        for number, (each, words) in enumerate(zip(pages, WORDS, strict=True), 1):
            wish(each, "Text")
            say(each, words)
            assert app.eventually(lambda number=number: sum(app.engine.load) == number)
        pages[2].wait_for_selector("#status :text('Waiting: you are next')")
        place = pages[3].wait_for_selector("#status :text('Waiting: 1 ahead of you')")
        assert place.bounding_box()["height"] < 30, "the line is broken"
        assert app.engine.load == (2, 2)
        assert [each.locator("#status .waiting").count() for each in pages[:2]] == [0, 0]
        pages[3].bring_to_front()
        shot(pages[3], "waiting")
        pages[2].click("#voice button")  # whoever turns away lets the others move up
        pages[3].wait_for_selector("#status :text('Waiting: you are next')")
    model = app.visitors.models.get(app.visitors.models.default).omni
    for index in (0, 1, 3):
        assert ended(pages[index]).locator(".text").inner_text()
        assert pages[index].locator("#status .waiting").count() == 0
        turn = turn_of(app, WORDS[index])
        alone = model.generate(WORDS[index], outputs=("text",), task="chat", seed=turn.stats.seed)
        assert turn.text == alone.text
    for each in pages[:3]:
        each.close()
