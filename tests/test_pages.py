"""The pages are true: their snippets run, their figures are the measured ones, and what they name exists."""

import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from ar_omni import cli
from ar_omni.terminal import QUESTION

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = {
    "text_to_speech.py": (["good morning", "out.wav"], "out.wav"),
    "transcribe.py": (["question.wav"], None),
    "caption.py": (["picture.png", "picture.png"], None),
    "text_to_image.py": (["a pear", "--count", "1"], "a_pear_0.png"),
    "chat.py": ([], "spoken_reply.wav"),
}


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.M | re.S)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of one's own with the recording and the picture that the pages speak of."""
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    shutil.copyfile(QUESTION, "question.wav")
    Image.new("RGB", (64, 64), "red").save("picture.png")
    return tmp_path


@pytest.mark.parametrize("number", range(3))
def test_readme_python_runs(here, number, capsys):
    exec(compile(snippets("python")[number], f"README python {number}", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_every_readme_snippet_is_run():
    assert len(snippets("python")) == 3
    assert len(snippets("bash")) == 1


def test_readme_commands_run(here, capsys):
    lines = snippets("bash")[0].strip().splitlines()
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "ar-omni"
        assert cli.main(arguments) == 0, line
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run(here, name, monkeypatch, capsys):
    arguments, written = EXAMPLES[name]
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(ROOT / "infer" / name), run_name="__main__")
    assert capsys.readouterr().out.strip()
    if written:
        assert (here / written).stat().st_size > 0


def test_every_example_is_short_and_run():
    files = {file.name: file for file in (ROOT / "infer").glob("*.py")}
    assert set(files) == set(EXAMPLES)
    assert all(len(file.read_text().splitlines()) <= 60 for file in files.values())


def test_figures_in_the_pages_are_the_measured_ones(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import refresh

    found = refresh.blocks()
    for page in refresh.PAGES:
        text = page.read_text(encoding="utf-8")
        assert refresh.fill(text, found) == text, f"{page.name} is out of date: run make pages"
    assert "| tts | WER |" in found["figures"]
    assert "ar-omni demo" in re.search(r"demo:begin -->\n(.*?)<!-- demo:end", README, re.S)[1]


def test_files_named_in_the_readme_exist():
    for cell in re.findall(r"^\| (`.*?`) \|", README, flags=re.M):
        first, *others = re.findall(r"`([^`]+)`", cell)
        if "/" not in first:
            continue  # a command, not a path
        folder = Path(first).parent
        for name in (first, *others):
            assert (ROOT / name).exists() or (ROOT / folder / name).exists(), name
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link


def test_commands_in_the_readme_are_the_commands_there_are():
    table = README.split("| command | does |")[1].split("\n\n")[0]
    named = re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in table.splitlines()[2:]))
    assert sorted(named) == sorted(command.name for command in cli.COMMANDS)
