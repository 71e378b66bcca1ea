"""Training as a user starts it."""

import runpy
import sys

import pytest


@pytest.fixture
def script(pytestconfig, monkeypatch):
    """`script(name, *arguments)`: runs a file of `train/`."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(pytestconfig.rootpath / "train" / name), run_name="__main__")

    return run
