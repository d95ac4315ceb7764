"""The People tab, which only admins see: accounts, everybody's queue, devices, the audit log."""

from __future__ import annotations

import gradio as gr

from backend import Backend
from ui.fragment import fragment
from ui.parts import checkpoint_bar

NAME = "people"
TITLE = "People"


def place(backend: Backend, bar: checkpoint_bar.Bar, page: gr.Blocks) -> None:
    """The scripts ask `/easel/people`, which answers admins alone, and show the tab to them."""
    gr.HTML(fragment(__file__, "people.html"), elem_id=NAME, js_on_load=None, apply_default_css=False)
