"""The PNG Info tab: what a picture says of how it was made, and the way from there into a form."""

from __future__ import annotations

import gradio as gr

from backend import Backend
from ui.fragment import fragment
from ui.parts import checkpoint_bar

NAME = "png_info"
TITLE = "PNG Info"


def place(backend: Backend, bar: checkpoint_bar.Bar, page: gr.Blocks) -> None:
    """The browser sends the picture to `/easel/settings` and shows the answer; no form of its own."""
    gr.HTML(fragment(__file__, "png_info.html"), elem_id=NAME, js_on_load=None, apply_default_css=False)
