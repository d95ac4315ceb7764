"""The History tab: every picture that was made or imported, found again, starred, compared, binned."""

from __future__ import annotations

import gradio as gr

from backend import Backend
from ui.fragment import fragment
from ui.parts import checkpoint_bar

NAME = "history"
TITLE = "History"


def place(backend: Backend, bar: checkpoint_bar.Bar, page: gr.Blocks) -> None:
    """The scripts ask `/easel/history` and fill the page; no form of its own."""
    gr.HTML(fragment(__file__, "history.html"), elem_id=NAME, js_on_load=None, apply_default_css=False)
