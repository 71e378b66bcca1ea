"""The bundled model is as good as it was when its limits were written."""

import json

import pytest
import quality

from ar_omni.evaluation.figures import Figure
from ar_omni.evaluation.targets import TARGETS

ALLOWED = json.loads(quality.LIMITS.read_text(encoding="utf-8"))


def report(wer: float, right: float) -> dict:
    """Two figures of a model."""
    figures = {
        "tts": {"WER": Figure(wer, wer, wer, 6)},
        "spoken": {"right picture": Figure(right, right, right, 6, better="higher")},
    }
    return {
        "suites": {
            suite: {"figures": {title: figure.to_dict() for title, figure in own.items()}}
            for suite, own in figures.items()
        }
    }


def test_a_figure_beyond_its_limit_is_told():
    allowed = quality.limits(report(10, 80))
    assert allowed == {"tts": {"WER": 30}, "spoken": {"right picture": 60}}
    assert quality.worse(report(30, 60), allowed) == []
    assert [line.split(" is ")[0] for line in quality.worse(report(31, 60), allowed)] == ["tts: WER"]
    assert len(quality.worse(report(31, 59), allowed)) == 2


def test_every_target_has_its_limit():
    assert {(suite, title) for suite, own in ALLOWED.items() for title in own} == set(TARGETS)


@pytest.mark.slow
def test_the_bundled_model_is_as_good_as_it_was():
    assert quality.worse(quality.measure(), ALLOWED) == []
