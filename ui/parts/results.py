"""Where pictures arrive: progress, the picture with its text, the strip of earlier ones, and the queue."""

from __future__ import annotations

import gradio as gr

from ui.fragment import fragment


def place(tab: str) -> None:
    with gr.Column(elem_classes=["results-column", "card"]):
        gr.HTML(fragment(__file__, "results.html"), elem_id=f"{tab}_results", js_on_load=None, apply_default_css=False)
