"""One calm line under the head for what concerns the whole house: a lost connection, a worker that restarts."""

from __future__ import annotations

import gradio as gr

LINES = '<div id="notices" role="status" aria-live="polite"></div>'


def place() -> None:
    gr.HTML(LINES, elem_id="notice_bar")
