"""The Plots tab. What is in it, the list of plots and the grid of one, is the scripts'."""

from __future__ import annotations

import gradio as gr

from backend import Backend
from ui.fragment import fragment
from ui.parts import checkpoint_bar

NAME = "plots"
TITLE = "Plots"


def place(backend: Backend, bar: checkpoint_bar.Bar, page: gr.Blocks) -> None:
    """The scripts ask `/easel/plots` and fill the page; no form of its own."""
    gr.HTML(fragment(__file__, "plots.html"), elem_id=NAME, js_on_load=None, apply_default_css=False)
