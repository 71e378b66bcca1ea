"""Visitors around the random checkpoint, and a browser that looks at the bundled one."""

from pathlib import Path

import numpy as np
import pytest

from ar_omni.app.models import Choice, Model, Models
from ar_omni.media import Audio
from ar_omni.serving.engine import Engine
from ar_omni.terminal import QUESTION
from tests.app.browser import RunningApp, chromium, foreign, visit


@pytest.fixture
def model(omni):
    engine = Engine(omni, slots=3)
    yield Model(Choice("tiny"), omni, Path("tiny"), engine)
    engine.close()


@pytest.fixture
def models(checkpoint, tmp_path):
    """The random checkpoint twice: as the default, and below the folder of models."""
    (tmp_path / "other").symlink_to(checkpoint, target_is_directory=True)
    models = Models(checkpoint, tmp_path)
    yield models
    models.close()


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The app with the bundled model."""
    models = Models(None, tmp_path_factory.mktemp("models"))
    models.get(models.default)
    app = RunningApp(models)
    yield app
    app.stop()


@pytest.fixture(scope="module")
def spoken_question(tmp_path_factory) -> Path:
    """The bundled question, with time to start recording before it."""
    question = Audio.load(QUESTION)
    silence = np.zeros(question.sample_rate, np.float32)
    path = tmp_path_factory.mktemp("microphone") / "question.wav"
    Audio(np.concatenate([silence, question.samples, silence]), question.sample_rate).save(path)
    return path


@pytest.fixture(scope="module")
def context(tmp_path_factory, spoken_question):
    """A browser with a microphone that plays the bundled question."""
    playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    flag = f"--use-file-for-fake-audio-capture={spoken_question}%noloop"
    folder, size = tmp_path_factory.mktemp("profile"), {"width": 1100, "height": 800}
    with playwright() as driver, chromium(driver, folder, flag, viewport=size) as context:
        yield context


@pytest.fixture
def page(app, context):
    """The app's page; whatever a test does there, nothing may be fetched from elsewhere."""
    page = visit(context, app.url)
    yield page
    page.close()
    assert foreign(page) == [], "something was fetched from elsewhere"
