"""Targets, reports and the page to listen to."""

import pytest
from PIL import Image

from ar_omni.decoding import Options
from ar_omni.errors import DependencyError, InputError
from ar_omni.evaluation import report as reports
from ar_omni.evaluation.figures import Figure
from ar_omni.evaluation.page import write_page
from ar_omni.evaluation.run import evaluate
from ar_omni.evaluation.suites import SUITES
from ar_omni.evaluation.targets import TARGETS, Target
from tests.evaluation.fakes import Perfect, bench


def test_targets_name_what_was_reached():
    low, high = Figure(10, 9, 11, 5), Figure(90, 80, 95, 5, better="higher")
    assert [Target(must, aim).reached(low) for must, aim in ((20, 10), (10, 5), (8, 5))] == [
        "aim",
        "must",
        "missed",
    ]
    assert [Target(must, aim).reached(high) for must, aim in ((80, 90), (85, 95), (95, 99))] == [
        "aim",
        "must",
        "missed",
    ]
    assert Target(None, 5).reached(low) == "reported"


def test_every_target_is_of_a_figure_that_there_is(held_out):
    titles = {(suite, title) for suite, run in SUITES.items() for title in run(bench(Perfect(), held_out))[0]}
    assert set(TARGETS) <= titles


def test_report_lists_every_figure(held_out, tmp_path):
    report = evaluate(Perfect(), ("draw",), held_out=held_out, progress=False)
    reports.write(report, tmp_path / "report.json")
    assert reports.read(tmp_path / "report.json") == report
    assert report["presets"]["speak"]["max_new_tokens"] == Options().max_new_tokens
    line = "| draw | right concept, never trained on | 100.0 % [100.0, 100.0] | ≥ 40 | ≥ 70 | aim | 1 |"
    assert line in reports.markdown(report)
    assert "right style, never trained on" in reports.plain(report)
    assert reports.markdown(report).count("\n") == 5
    with pytest.raises(InputError, match="dance"):
        evaluate(Perfect(), ("dance",), held_out=held_out)


def test_the_page_shows_every_file_that_was_kept(held_out, tmp_path):
    folder = tmp_path / "page"
    report = {"model": "<nano>", "suites": {}}
    for suite in ("draw", "chat", "tts"):
        found, rows = SUITES[suite](bench(Perfect(), held_out, folder=folder))
        report["suites"][suite] = {"figures": {t: f.to_dict() for t, f in found.items()}, "items": rows}
    write_page(report, folder)
    page = (folder / "index.html").read_text()
    kept = [file for file in folder.glob("*/*") if file.is_file()]
    assert len(kept) == 2 * 2 + (1 + 3) + (2 + 1)
    assert all(f'src="{file.relative_to(folder)}"' in page for file in kept)
    assert "&lt;nano&gt;" in page
    assert "http" not in page
    with Image.open(folder / "contact_sheet.png") as sheet:
        assert sheet.getpixel((48, 14 + 48)) == sheet.getpixel((96 + 48, 14 + 48)) == (120, 12, 18)


def test_a_missing_judge_is_named_before_anything_runs(held_out, monkeypatch):
    monkeypatch.setattr(reports, "_VERSIONS", ("no-such-package",))
    with pytest.raises(DependencyError, match=r"no-such-package.*pip install 'ar-omni\[eval\]'"):
        evaluate(Perfect(), held_out=held_out, progress=False)
