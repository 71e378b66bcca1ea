"""Icon sets of other artists: which icon shows which thing."""

import json

import pytest

from ar_omni.training.world.icons import call_names, load_icons

NAMES = {"1F34E": "red apple", "1F1EB-1F1F7": "flag of france", "1F4AB": "dizzy", "1F635": "dizzy face"}
SHORTCODES = {"1F34E": ["apple"], "1F635": ["dizzy", "knocked_out"], "1F4A1": "bulb"}


@pytest.fixture
def called(tmp_path):
    folder = tmp_path / "emojibase-data/en/shortcodes"
    folder.mkdir(parents=True)
    (folder / "github.json").write_text(json.dumps(SHORTCODES))
    return call_names(tmp_path, NAMES)


def test_another_things_name_is_no_alias(called):
    assert called["1F34E"] == ["red apple", "apple"]
    assert called["1F635"] == ["dizzy face", "knocked_out"]
    assert set(called) == set(NAMES)


def test_icons_are_found_by_name_alias_and_land(called, tmp_path):
    icons = {
        "apple": {"body": "<a/>"},
        "flag-for-france": {"body": "<b/>", "width": 32},
        "dizzy": {"body": "<c/>"},
    }
    table = {"icons": icons, "aliases": {"knocked-out": {"parent": "dizzy"}}, "width": 16, "height": 24}
    (tmp_path / "icons.json").write_text(json.dumps(table))
    found = load_icons(tmp_path, called)
    assert {hexcode: svg.split(">")[1] + ">" for hexcode, svg in found.items()} == {
        "1F34E": "<a/>",
        "1F1EB-1F1F7": "<b/>",
        "1F4AB": "<c/>",
        "1F635": "<c/>",
    }
    assert 'viewBox="0 0 16 24"' in found["1F34E"] and 'viewBox="0 0 32 24"' in found["1F1EB-1F1F7"]
