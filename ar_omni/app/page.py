"""The page: where everything is, and which handler each gesture calls."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from ar_omni.app.handlers import Handlers
from ar_omni.app.messages import AS_ASKED, OUTPUTS, STYLES
from ar_omni.app.models import NO_ADAPTER, Models
from ar_omni.app.visitors import Visitors
from ar_omni.media import AUDIO_FORMATS

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
    do = Handlers(visitors)
    with gr.Blocks(
        title=TITLE,
        analytics_enabled=False,
        fill_width=True,
        fill_height=True,
        delete_cache=(UPLOADS_S, UPLOADS_S),
    ) as page:
        who, key, played = gr.State(""), gr.Textbox(visible=False), gr.JSON(visible=False)
        with gr.Row(elem_id="bar"):
            gr.HTML(f"<h1>{TITLE}</h1>", apply_default_css=False, elem_id="title")
            bar = gr.HTML(apply_default_css=False, elem_id="about")
            fresh = gr.Button("New", size="sm", elem_id="fresh", min_width=64, scale=0)
        with gr.Column(elem_id="conversation"):
            script = _file("conversation.js")
            past = gr.HTML(js_on_load=script, apply_default_css=False, elem_id="past")
            newest = gr.HTML(js_on_load=script, apply_default_css=False, elem_id="newest")
        with gr.Row(elem_id="now"):
            status = gr.HTML(apply_default_css=False, elem_id="status")
            voice = _fixed("player", "voice")
        with gr.Row(elem_id="composer"):
            box = gr.MultimodalTextbox(
                placeholder="Write, or drop a picture",
                sources=["upload"],
                file_count="multiple",
                file_types=["image", *AUDIO_FORMATS],
                show_label=False,
                max_plain_text_length=10_000,
                elem_id="box",
            )
            microphone = _fixed("microphone", "microphone")
        with gr.Row(elem_id="wishes"):
            outputs = gr.CheckboxGroup(
                list(OUTPUTS), value=list(OUTPUTS), show_label=False, container=False, elem_id="outputs"
            )
            style = gr.Dropdown(
                list(STYLES),
                value=AS_ASKED,
                allow_custom_value=True,
                show_label=False,
                container=False,
                elem_id="style",
                min_width=120,
            )
        with gr.Sidebar(position="right", open=False, elem_id="side"):
            with gr.Accordion("Advanced", open=True):
                own = "0: as the checkpoint says"
                temperature = gr.Slider(0, 2, 0, step=0.05, label="Temperature", info=own)
                guidance = gr.Slider(0, 10, 0, step=0.5, label="Guidance of pictures", info=own)
                seed = gr.Number(-1, minimum=-1, precision=0, label="Seed", info="-1: a new one each time")
            with gr.Accordion("Model", open=False):
                model, adapter = _choosers(visitors.models)
                load = gr.Button("Use", size="sm")
                gr.Markdown("A conversation starts afresh with another model.")
            with gr.Accordion("Status", open=False) as machine:
                panel = gr.HTML(apply_default_css=False, elem_id="panel")
                refresh = gr.Button("Look again", size="sm")

    view = [past, newest, voice, status]
    controls = [outputs, style, temperature, guidance, seed]
    told = {"show_progress": "hidden", "api_visibility": "private"}
    runs = {**told, "concurrency_limit": None, "trigger_mode": "multiple"}
    with page:
        about = [bar, model, adapter]
        page.load(do.arrive, [key], [who, *about, *view], js=_file("arrive.js"), **told)
        page.unload(do.leave)
        box.submit(do.send, [who, box, played, *controls], [*view, box], js=_SILENCE, **runs)
        microphone.began(do.halt, [who], view, **runs)
        microphone.recorded(do.record, [who, *controls], view, **runs)
        for part in (past, newest):
            part.again(do.again, [who, *controls], view, **runs)
            part.edited(do.edit, [who, *controls], view, **runs)
            part.example(do.example, [who, *controls], view, **runs)
        voice.halt(do.halt, [who], view, **runs)
        fresh.click(do.clear, [who], view, js="(who) => (window.arOmniSpeech.stop(), who)", **runs)
        load.click(do.choose, [who, model, adapter], [*about, *view], **told)
        gr.on([machine.expand, refresh.click], do.status, [who], panel, **told)
    return page


def _choosers(models: Models) -> tuple[gr.Dropdown, gr.Dropdown]:
    default = models.default
    model = gr.Dropdown(list(models.checkpoints), value=default.model, label="Checkpoint")
    adapter = gr.Dropdown([NO_ADAPTER, *models.adapters], value=default.adapter, label="LoRA adapter")
    return model, adapter


def _fixed(files: str, name: str) -> gr.HTML:
    """A component of our own: html that never changes, and a script that follows its value."""
    html, script = _file(f"{files}.html"), _file(f"{files}.js")
    return gr.HTML("", html_template=html, js_on_load=script, apply_default_css=False, elem_id=name)


def _file(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")
