"""The page: where everything is, and which handler each gesture calls."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from ar_omni.app.handlers import Handlers
from ar_omni.app.messages import AS_ASKED, OUTPUTS, STYLES
from ar_omni.app.models import NO_ADAPTER, Models
from ar_omni.app.visitors import Visitors
from ar_omni.media import AUDIO_FORMATS, MAX_TEXT_CHARACTERS

TITLE = "ar-omni"
UPLOADS_S = 3600
"""After so many seconds uploaded files are deleted; what was read of them is in the conversation."""
_FILES = Path(__file__).parent / "page_files"
_SILENCE = "(who, box, played, ...controls) => [who, box, window.arOmniSpeech.stop(), ...controls]"
"""Whoever sends interrupts: the voice stops before the message leaves the page, and says how far it came."""


def theme() -> gr.themes.Base:
    """Fonts that every system has; nothing is fetched from elsewhere."""
    return gr.themes.Base(
        primary_hue="indigo",
        neutral_hue="slate",
        radius_size="lg",
        font=["ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )


def css() -> str:
    return _file("page.css")


def build_page(visitors: Visitors) -> gr.Blocks:
    """All of it, for these visitors."""
    with gr.Blocks(
        title=TITLE,
        analytics_enabled=False,
        fill_width=True,
        fill_height=True,
        delete_cache=(UPLOADS_S, UPLOADS_S),
    ) as page:
        who, key, played = gr.State(""), gr.Textbox(visible=False), gr.JSON(visible=False)
        bar, fresh = _bar()
        past, newest = _turns()
        status, voice = _now()
        box, microphone = _composer()
        wishes = _wishes()
        with gr.Sidebar(position="right", open=False, width=360, elem_id="side"):
            controls = [*wishes, *_advanced()]
            model, adapter, load = _choosers(visitors.models)
            machine, panel, refresh = _machine()

        do, about, view = Handlers(visitors), [bar, model, adapter], [past, newest, voice, status]
        told = {"show_progress": "hidden", "api_visibility": "private"}
        runs = {**told, "concurrency_limit": None, "trigger_mode": "multiple"}
        page.load(do.arrive, [key], [who, *about, *view], js=_file("arrive.js"), **told)
        page.unload(do.leave)
        box.submit(do.send, [who, box, played, *controls], [*view, box], js=_SILENCE, **runs)
        microphone.recorded(do.record, [who, *controls], view, **runs)
        for part in (past, newest):
            part.again(do.again, [who, *controls], view, **runs)
            part.edited(do.edit, [who, *controls], view, **runs)
            part.example(do.example, [who, *controls], view, **runs)
        for halting in (voice.halt, microphone.began):
            halting(do.halt, [who], view, **runs)
        fresh.click(do.clear, [who], view, js="(who) => (window.arOmniSpeech.stop(), who)", **runs)
        chosen = load.click(do.choose, [who, model, adapter], [*about, *view], **told)
        for look in (machine.expand, refresh.click, chosen.then):
            look(do.status, [who], panel, **told)
    return page


def _bar() -> tuple[gr.HTML, gr.Button]:
    """The model's name with the link to the conversation as a file, and the button for a new one."""
    with gr.Row(elem_id="bar"):
        _html("title", f"<h1>{TITLE}</h1>")
        return _html("about"), gr.Button("New", size="sm", elem_id="fresh", min_width=64, scale=0)


def _turns() -> tuple[gr.HTML, gr.HTML]:
    """Past turns, and the newest: only the latter is sent again while it grows."""
    with gr.Column(elem_id="conversation"):
        script = _file("conversation.js")
        return _html("past", js_on_load=script), _html("newest", js_on_load=script)


def _now() -> tuple[gr.HTML, gr.HTML]:
    with gr.Row(elem_id="now"):
        return _html("status"), _fixed("player", "voice")


def _composer() -> tuple[gr.MultimodalTextbox, gr.HTML]:
    with gr.Row(elem_id="composer"):
        box = gr.MultimodalTextbox(
            placeholder="Write, drop or paste a picture",
            sources=["upload"],
            file_count="multiple",
            file_types=["image", *AUDIO_FORMATS],
            show_label=False,
            max_plain_text_length=MAX_TEXT_CHARACTERS,
            elem_id="box",
        )
        return box, _fixed("microphone", "microphone")


def _wishes() -> tuple[gr.CheckboxGroup, gr.Dropdown]:
    bare = {"show_label": False, "container": False}
    with gr.Row(elem_id="wishes"):
        outputs = gr.CheckboxGroup(list(OUTPUTS), value=list(OUTPUTS), elem_id="outputs", **bare)
        style = gr.Dropdown(
            list(STYLES), value=AS_ASKED, allow_custom_value=True, elem_id="style", min_width=100, **bare
        )
        return outputs, style


def _advanced() -> tuple[gr.Slider, gr.Slider, gr.Number]:
    with gr.Accordion("Advanced", open=True):
        own = "0: as the checkpoint says"
        return (
            gr.Slider(0, 2, 0, step=0.05, label="Temperature", info=own),
            gr.Slider(0, 10, 0, step=0.5, label="Guidance of pictures", info=own),
            gr.Number(-1, minimum=-1, precision=0, label="Seed", info="-1: a new one each time"),
        )


def _choosers(models: Models) -> tuple[gr.Dropdown, gr.Dropdown, gr.Button]:
    default = models.default
    with gr.Accordion("Model", open=False):
        model = gr.Dropdown(list(models.checkpoints), value=default.model, label="Checkpoint")
        adapter = gr.Dropdown([NO_ADAPTER, *models.adapters], value=default.adapter, label="LoRA adapter")
        gr.Markdown("With another model the conversation starts afresh.")
        return model, adapter, gr.Button("Use", size="sm")


def _machine() -> tuple[gr.Accordion, gr.HTML, gr.Button]:
    with gr.Accordion("Status", open=False) as machine:
        return machine, _html("panel"), gr.Button("Look again", size="sm")


def _html(name: str, value: str = "", **options: str) -> gr.HTML:
    return gr.HTML(value, apply_default_css=False, elem_id=name, **options)


def _fixed(files: str, name: str) -> gr.HTML:
    """A component of our own: html that never changes, and a script that follows its value."""
    return _html(name, html_template=_file(f"{files}.html"), js_on_load=_file(f"{files}.js"))


def _file(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")
