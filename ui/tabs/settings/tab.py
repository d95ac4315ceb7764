"""The Settings tab: what is copied into each job, what the other tabs start with, and how the page looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import gradio as gr
from gradio.components import Component

from backend import NAME_WORDS, PINNABLE, Backend
from ui.fields import Form
from ui.fragment import fragment
from ui.page_head import languages
from ui.parts import checkpoint_bar
from ui.script_calls import script

NAME = "settings"
TITLE = "Settings"
HEAD = """<div class="settings-head">
<p class="for-drawing">Everything here is saved at once, and holds for pictures that are started from now on.</p>
<span id="settings_state" role="status"></span>
<input type="search" class="settings-search" placeholder="Search in the settings" aria-label="Search in the settings"
autocomplete="off">
<p class="settings-none" role="status" hidden>No setting has these words.</p></div>"""
EXAMPLE = """<p class="example-name"><span>Your next picture would be called</span>
<code id="settings_example" translate="no"></code></p>"""
LIGHTS = [("As the system", "system"), ("Light", "light"), ("Dark", "dark")]
SWITCH = [("Off", "off"), ("On", "on")]
DRAWING = "for-drawing"         # of no use to who may only look
AS_THE_BROWSER = ("As the browser", "browser")


def place(backend: Backend, bar: checkpoint_bar.Bar, page: gr.Blocks) -> None:
    form = Form(NAME, {})
    _html(HEAD)
    with gr.Row(elem_id=NAME, elem_classes=["panels"]):
        with gr.Column(elem_classes=[DRAWING]):
            _saving(form)
            _previews(form)
        with gr.Column():
            _look(form)
            _quick(form)
            _job_end(form)
            with _panel("Defaults", DRAWING):
                _html(fragment(__file__, "defaults.html"))
            with _panel("Extensions", DRAWING):
                _html(fragment(__file__, "extensions.html"))
                form.rest("extension_settings")
            with _panel("Your limits", DRAWING):
                _html(fragment(__file__, "limits.html"))
            with _panel("About this Easel"):
                _html(fragment(__file__, "about.html"))
    _wire(form, page)


def _saving(form: Form) -> None:
    with _panel("Saving"):
        for name in ("folder_pattern", "name_pattern"):
            form.place(name, lines=1, max_lines=1, placeholder="")
        words = "".join(f"<li><code>[{escape(word)}]</code></li>" for word in NAME_WORDS)
        _html(f'{EXAMPLE}<details class="pattern-words"><summary>All words that are filled in</summary>'
              f'<ul translate="no">{words}</ul></details>')
        form.rest("files")


def _previews(form: Form) -> None:
    with _panel("Previews"):
        form.rest("preview")


def _look(form: Form) -> None:
    spoken = [AS_THE_BROWSER, *((name, code) for code, name in languages().items())]
    with _panel("Look"):
        _choice(form, "theme", "Theme", LIGHTS)
        _choice(form, "language", "Language", spoken)


def _quick(form: Form) -> None:
    """Any field of a drawing tab, and any setting, can stand below the bar."""
    with _panel("Quick settings", DRAWING):
        fields = [(field.label, field.name) for field in PINNABLE.values()]
        pins = gr.Dropdown(fields, value=[], multiselect=True, max_choices=12, label="Fields pinned to the bar",
                           elem_id=f"{NAME}_pins", elem_classes=["field", "field-texts"])
        form.adopt("pins", pins)


def _job_end(form: Form) -> None:
    with _panel("When a job ends", DRAWING):
        _choice(form, "end_sound", "A sound", SWITCH)
        _choice(form, "end_notice", "A desktop notice, while the page is out of sight", SWITCH)


def _choice(form: Form, name: str, label: str, choices: list[tuple[str, str]]) -> Component:
    radio = gr.Radio(choices, value=choices[0][1], label=label, elem_id=f"{NAME}_{name}", elem_classes=["field"])
    return form.adopt(name, radio)


@contextmanager
def _panel(title: str, *classes: str) -> Iterator[None]:
    with gr.Column(elem_classes=["setting-sheet", *classes]):
        _html(f"<h2>{title}</h2>")
        yield


def _html(text: str) -> None:
    gr.HTML(text, js_on_load=None, apply_default_css=False)


def _wire(form: Form, page: gr.Blocks) -> None:
    """The browser fills the fields with what is chosen, and sends each change to `/easel/preferences`."""
    telling = script(f"settings.%s({form.names}, values)", "...values")
    everything = {"fn": None, "inputs": form.all}
    page.load(**everything, outputs=form.all, js=telling % "restore")
    gr.on([component.change for component in form.all], **everything, js=telling % "changed")
    words = gr.Button("Words", visible="hidden", elem_id=f"{NAME}_words")
    words.click(fn=None, outputs=[form["pins"]], js=script("settings.pinnable()"))
    apply = gr.Button("Apply", visible="hidden", elem_id=f"{NAME}_apply")
    apply.click(**everything, outputs=form.all, js=telling % "restore")
