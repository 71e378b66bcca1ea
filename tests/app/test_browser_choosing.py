"""Which model answers, in Chromium: the bundled one, a folder, an adapter on it, and what is none of them."""

import json
from types import SimpleNamespace

import pytest

from ar_omni.app.models import BUNDLED_NAME, Models
from tests.app.browser import NEEDS_CHROMIUM, RunningApp, ended, say, shot, wish

pytestmark = [pytest.mark.slow, NEEDS_CHROMIUM]


@pytest.fixture(scope="module")
def folder(checkpoint, omni, tmp_path_factory):
    """A checkpoint, an adapter of it, and two that look like checkpoints."""
    peft, folder = pytest.importorskip("peft"), tmp_path_factory.mktemp("models")
    (folder / "tiny").symlink_to(checkpoint, target_is_directory=True)
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    peft.get_peft_model(type(omni.model)(omni.model.config), config).save_pretrained(folder / "adapter")
    for name, config in (("empty", {}), ("halved", {"model_type": "ar_omni"})):
        (folder / name).mkdir()
        (folder / name / "processor_config.json").write_text("{}")
        (folder / name / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def app(folder):
    app = RunningApp(Models(None, folder))
    yield app
    app.stop()


@pytest.fixture
def drawer(page):
    """The open drawer; `choose(model, adapter)` there."""
    page.click("#side .toggle-button")
    page.click("#side >> text=Model")

    def choose(**chosen):
        for label, name in chosen.items():
            page.click(f"#side input[aria-label='{label}']")
            page.click(f"[role=option]:has-text('{name}')")
        page.click("#side button:has-text('Use')")

    names = {"model": "Checkpoint", "adapter": "LoRA adapter"}
    return SimpleNamespace(choose=lambda **chosen: choose(**{names[key]: chosen[key] for key in chosen}))


def named(page, name):
    """Waits until the page says that this model answers."""
    page.wait_for_selector(f"#about .model:text-is('{name}')")


def status(page):
    """What the panel says of the model."""
    page.click("#side >> text=Status")
    page.wait_for_selector("#panel .facts")
    return page.inner_text("#panel tr:has-text('model') td >> nth=0")


def test_a_folder_and_an_adapter_are_chosen(app, page, drawer):
    named(page, BUNDLED_NAME)
    assert status(page) == BUNDLED_NAME
    wish(page, "Text")
    page.fill("#side input[aria-label='Seed']", "0")
    said = []
    for chosen, name in (
        ({"model": "tiny"}, "tiny"),
        ({"adapter": "adapter"}, "tiny + adapter"),
        ({"adapter": "none"}, "tiny"),
    ):
        drawer.choose(**chosen)
        named(page, name)
        page.wait_for_selector(f"#panel td:text-is('{name}')")
        page.wait_for_selector(".welcome h2:text-is('Talk with tiny')")
        shot(page, name.replace(" + ", "-"))
        say(page, "hello")
        ended(page)
        said.append(app.turns()[-1].text)
    assert said[0] == said[2] != said[1]


@pytest.mark.parametrize(
    "chosen", [{"model": "empty"}, {"model": "halved"}, {"model": BUNDLED_NAME, "adapter": "adapter"}]
)
def test_what_cannot_be_used_is_said_in_a_line(app, page, drawer, chosen):
    drawer.choose(**chosen)
    said = page.inner_text("[data-testid=toast-text]")
    shot(page, "refused")
    assert said.startswith("expected") and "\n" not in said
    named(page, BUNDLED_NAME)
    wish(page, "Text")
    say(page, "hello")
    ended(page)
