"""Scripts of Gradio's events: each calls the public face of the page's scripts, `scripts/easel.js`."""

from __future__ import annotations


def script(call: str, parameters: str = "") -> str:
    """A function of these parameters that answers with what `call`, a method of the face, answers."""
    return f"async ({parameters}) => (await import('easel')).{call}"
