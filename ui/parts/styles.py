"""The row below the prompt boxes: which styles are added, what becomes of wildcards; and the dialogs of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from backend import Backend
from ui.current_user import door
from ui.fields import Form
from ui.fragment import fragment
from ui.script_calls import QUIET, script


def place(form: Form) -> None:
    with gr.Row(elem_classes=["styles-row"], elem_id=f"{form.tab}_styles_row"):
        form.place("styles", allow_custom_value=True, min_width=160, scale=3)
        apply = gr.Button("Put the chosen styles into the prompt boxes", elem_id=f"{form.tab}_apply_styles",
                          elem_classes=["icon", "icon-apply"])
        edit = gr.Button("Save the prompt as a style, or change styles", elem_id=f"{form.tab}_edit_styles",
                         elem_classes=["icon", "icon-edit"])
        form.place("prompt_expansion", min_width=150, scale=1)
    apply.click(fn=None, js=script(f"styles.apply('{form.tab}')"))
    edit.click(fn=None, js=script(f"styles.edit('{form.tab}')"))


def wire(form: Form, backend: Backend, page: gr.Blocks) -> None:
    """The list is each visitor's own: asked for when the page loads, and again when a style was saved."""
    renew = gr.Button("Renew the list of styles", visible="hidden", elem_id=f"{form.tab}_renew_styles")
    for event in (page.load, renew.click):
        event(_names(backend), outputs=[form["styles"]], **QUIET)


def place_dialogs() -> None:
    """Once for all tabs."""
    gr.HTML(fragment(__file__, "prompts.html"), elem_id="prompt_dialogs", js_on_load=None, apply_default_css=False)


def _names(backend: Backend) -> Callable[[gr.Request], Any]:
    def names(request: gr.Request) -> Any:
        return gr.update(choices=[style.name for style in door(backend, request).prompt_library.styles()])

    return names
