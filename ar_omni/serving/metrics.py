"""`/metrics` in Prometheus's text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import FastAPI

Sample = tuple[str, float]
"""Labels as they are written, and a value."""


def metrics(app: FastAPI) -> str:
    """The page."""
    engine = app.state.service.engine
    (running, waiting), counts = engine.load, dict(engine.counts)
    fates = [(f'{{fate="{fate}"}}', counts.get(fate, 0)) for fate in ("finished", "cancelled", "failed")]
    responses = [
        (f'{{path="{path}",status="{status}"}}', count)
        for (path, status), count in sorted(app.state.responses.items())
    ]
    table: tuple[tuple[str, str, str, Any], ...] = (
        ("http_responses_total", "counter", "HTTP responses", responses),
        ("replies_total", "counter", "replies that ended", fates),
        ("replies_running", "gauge", "replies in the batch", [("", running)]),
        ("replies_waiting", "gauge", "replies that wait for a place", [("", waiting)]),
        ("sessions", "gauge", "open WebSockets", [("", app.state.sessions)]),
        ("tokens_total", "counter", "ids of finished replies", [("", counts.get("tokens", 0))]),
        ("speech_seconds_total", "counter", "speech in them", [("", counts.get("speech_seconds", 0))]),
    )
    return "".join(line for row in table for line in _family(*row))


def _family(name: str, kind: str, about: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP ar_omni_{name} {about}\n# TYPE ar_omni_{name} {kind}\n"
    for labels, value in samples:
        yield f"ar_omni_{name}{labels} {value:g}\n"
