"""A folder to look at and listen to: every reply of a report, and drawn pictures beside what was asked."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ar_omni.evaluation.report import HEAD, lines, write
from ar_omni.evaluation.sheets import save_contact_sheet
from ar_omni.media import replacing

MEDIA = {
    "original": '<audio controls preload="none" src="{}"></audio>',
    "audio": '<audio controls preload="none" src="{}"></audio>',
    "reference": '<img loading="lazy" src="{}">',
    "image": '<img loading="lazy" src="{}">',
}
"""Key of a row -> how its file is shown."""
SHEET = "contact_sheet.png"
SHEET_TILE = 96
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body {{font: 15px sans-serif; max-width: 80em; margin: 2em auto; padding: 0 1em}}
table {{border-collapse: collapse}}
td, th {{padding: .3em .7em; border-bottom: 1px solid #ddd; text-align: left}}
td img {{width: 6em}} audio {{width: 14em; height: 2em}}</style>
<h1>{title}</h1>
{body}
</html>
"""


def write_page(report: Mapping, folder: str | os.PathLike) -> None:
    """Write `index.html`, `report.json` and the contact sheet beside the files that the report's rows name.

    Args:
        report: as `evaluate(..., folder=folder)` returns it.
        folder: where that kept the replies.
    """
    folder = Path(folder)
    write(report, folder / "report.json")
    sheet = [
        (row["prompt"], folder / row["reference"], folder / row["image"], row["right"])
        for row in report["suites"].get("draw", {"items": []})["items"]
    ]
    body = [_table(HEAD, [[html.escape(cell) for cell in line] for line in lines(report)])]
    if sheet:
        save_contact_sheet(sheet, SHEET_TILE, folder / SHEET)
        body += ["<h2>Asked for, and drawn</h2>", f'<img src="{SHEET}">']
    for suite, result in report["suites"].items():
        body += [f"<h2>{html.escape(suite)}</h2>", *_suite(result["items"])]
    with replacing(folder / "index.html") as temporary:
        title = html.escape(f"{report['model']}: what it says and draws")
        temporary.write_text(PAGE.format(title=title, body="\n".join(body)), encoding="utf-8")


def _suite(rows: Sequence[Mapping]) -> list[str]:
    """A table for each set of columns that the rows have."""
    groups: dict[tuple[str, ...], list[Mapping]] = {}
    for row in rows:
        groups.setdefault(tuple(key for key in row if key not in MEDIA), []).append(row)
    return [_rows(words, own) for words, own in groups.items()]


def _rows(words: Sequence[str], rows: Sequence[Mapping]) -> str:
    columns = (*(key for key in MEDIA if any(key in row for row in rows)), *words)
    return _table(columns, [[_cell(key, row.get(key)) for key in columns] for row in rows])


def _cell(key: str, value: object) -> str:
    if value is None:
        return ""
    if key in MEDIA:
        return MEDIA[key].format(html.escape(str(value)))
    return html.escape(f"{value:.2f}" if isinstance(value, float) else str(value))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An html table; the cells of `rows` are html already."""
    cells = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    titles = "".join(f"<th>{html.escape(title)}</th>" for title in head)
    return f"<table><tr>{titles}</tr>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"
