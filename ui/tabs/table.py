"""The table of tabs: filled at the start, in the order in which the page shows them, and then frozen."""

from __future__ import annotations

from typing import Protocol

import gradio as gr

from backend import Backend, Table
from ui.parts.checkpoint_bar import Bar


class Tab(Protocol):
    """A module: its name (ids begin with it), the title that is shown, and what it puts on the page.

    Its scripts and styles lie beside it: all of them are served, and the script that bears the tab's name is loaded."""

    __file__: str
    NAME: str
    TITLE: str

    def place(self, backend: Backend, bar: Bar, page: gr.Blocks) -> None: ...


Tabs = Table[Tab]
"""By name, in the order of the page."""
