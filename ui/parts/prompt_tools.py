"""The small tools beside the prompt: read settings, prompts used before, clear, back to the defaults, interrogate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from backend import FIELDS, Backend, spread
from ui.current_user import door
from ui.fields import Form
from ui.script_calls import QUIET, script


def place(form: Form, backend: Backend) -> None:
    with gr.Row(elem_classes=["tools"]):
        if form.tab == "img2img":
            words = gr.Button("Interrogate: describe the picture in the prompt", elem_id=f"{form.tab}_interrogate",
                              elem_classes=["icon", "icon-describe"])
            words.click(fn=None, js=script(f"interrogate('{form.tab}')"))
        read = gr.Button("Read settings from the prompt box, or from the picture shown", elem_id=f"{form.tab}_paste",
                         elem_classes=["icon", "icon-read"])
        used = gr.Button("Prompts used before", elem_id=f"{form.tab}_used", elem_classes=["icon", "icon-history"])
        clear = gr.Button("Clear the prompt", elem_id=f"{form.tab}_clear_prompt", elem_classes=["icon", "icon-clear"])
        home = gr.Button("Back to my defaults", elem_id=f"{form.tab}_home", elem_classes=["icon", "icon-home"])
    found = gr.JSON(visible=False)
    read.click(_reading(backend), [form["prompt"]], [found], **QUIET).then(
        fn=None, inputs=[found], js=script(f"readSettings('{form.tab}', found)", "found"))
    home.click(fn=None, js=script(f"form('{form.tab}').home()"))
    used.click(fn=None, js=script(f"used.open('{form.tab}')"))
    clear.click(fn=None, js=script(f"form('{form.tab}').replace({{prompt: ''}}, 'The prompt is cleared.')"))


def _reading(backend: Backend) -> Callable[..., dict[str, Any]]:
    def read(text: str | None, request: gr.Request) -> dict[str, Any]:
        told = door(backend, request).read_text(text or "")
        return {"values": spread(told.values, FIELDS), "missing": list(told.missing), "plot": told.plot}

    return read
