"""Many files at once: Generate makes a job of each, and the results keep the names of the files."""

from __future__ import annotations

import gradio as gr

from ui.fragment import fragment


def place(tab: str) -> None:
    with gr.Accordion("Batch: many files, or a folder", open=False, elem_id=f"{tab}_batch_fold"):
        gr.HTML(fragment(__file__, "batch.html"), elem_id=f"{tab}_batch", js_on_load=None, apply_default_css=False)
