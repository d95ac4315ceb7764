"""Pieces of static HTML that the scripts fill; each lies beside the module that places it."""

from __future__ import annotations

from pathlib import Path


def fragment(module: str, name: str) -> str:
    """The text of the file `name` beside the module whose `__file__` is given."""
    return Path(module).with_name(name).read_text("utf-8")
