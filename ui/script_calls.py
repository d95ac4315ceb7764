"""How Gradio's events are wired: scripts that call the page's public face, `scripts/easel.js`, and quiet calls."""

from __future__ import annotations

from typing import Any

QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
"""For an event whose function answers at once."""


def script(call: str, parameters: str = "") -> str:
    """A function of these parameters that answers with what `call`, a method of the face, answers."""
    return f"async ({parameters}) => (await import('easel')).{call}"
