"""Who is at the page."""

from __future__ import annotations

import gradio as gr


def owner(request: gr.Request) -> str:
    """The name the guard found, or "local" where nobody logs in."""
    state = getattr(request.request, "state", None)
    return getattr(state, "user", None) or "local"
