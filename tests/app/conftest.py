"""Visitors around the random checkpoint."""

from pathlib import Path

import pytest

from ar_omni.app.models import Choice, Model, Models
from ar_omni.serving.engine import Engine


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
