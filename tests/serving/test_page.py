"""The page about serving is true: its snippets run, and its routes are those there are."""

import re
from pathlib import Path

import pytest

from ar_omni.serving.http import _ROUTES
from tests.serving.conftest import KEY

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.M | re.S)


@pytest.mark.parametrize("number", range(2))
def test_snippets_run(server, number, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    host = server.url.removeprefix("http://")
    code = SNIPPETS[number].replace("127.0.0.1:8000", host).replace('"nano"', '"tiny"')
    code = code.replace("secret", KEY)
    exec(compile(code, f"serving.md python {number}", "exec"), {})
    assert capsys.readouterr().out.strip()
    assert {file.name for file in tmp_path.iterdir()} <= {"good_afternoon.wav", "apple.png"}


def test_every_snippet_and_route_is_there():
    assert len(SNIPPETS) == 2
    named = set(re.findall(r"(?:GET|POST) (/[\w/]+)", PAGE))
    assert named == {path for _, path, _ in _ROUTES if "{" not in path}
