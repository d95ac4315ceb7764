"""Quick settings: the row below the bar with the fields that a person has pinned to it."""

from __future__ import annotations

import gradio as gr


def place() -> None:
    gr.HTML('<div id="pins" role="group" aria-label="Quick settings"></div>', elem_id="pin_bar", js_on_load=None,
            apply_default_css=False)
