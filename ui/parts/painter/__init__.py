"""A painter for masks and sketches: its markup, its style and its scripts. It knows nothing of forms and requests."""

from __future__ import annotations

import gradio as gr

from ui.fragment import fragment


def place(name: str) -> None:
    """The painter's elements under this id; `Painter` in painter.js makes them live."""
    gr.HTML(fragment(__file__, "painter.html"), elem_id=name, elem_classes=["painter-host"], js_on_load=None,
            apply_default_css=False)
