"""The row below the prompt that opens cards of networks, a button per kind; the cards are the scripts'."""

from __future__ import annotations

import gradio as gr

from ui.fields import Form
from ui.fragment import fragment


def place(form: Form) -> None:
    gr.HTML(fragment(__file__, "networks.html"), elem_id=f"{form.tab}_networks", js_on_load=None,
            apply_default_css=False)
