"""Who is at the page."""

from __future__ import annotations

import gradio as gr

from backend import Backend, Door


def door(backend: Backend, request: gr.Request) -> Door:
    """The front door of the user whom the guard has let in."""
    return backend.as_(request.request.state.user)
