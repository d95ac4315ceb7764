"""The table of tabs: filled at the start, in the order in which the page shows them, and then frozen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import gradio as gr

from backend import Backend
from ui.parts.checkpoint_bar import Bar


class Tab(Protocol):
    """A module: its name (ids begin with it), the title that is shown, and what it puts on the page."""

    __file__: str
    NAME: str
    TITLE: str

    def place(self, backend: Backend, bar: Bar, page: gr.Blocks) -> None: ...


class Tabs:
    """Ordered and without doubles; ValueError for a second tab of a name, or for one that comes too late."""

    def __init__(self) -> None:
        self._tabs: dict[str, Tab] = {}
        self._frozen = False

    def add(self, tab: Tab) -> None:
        if self._frozen:
            raise ValueError(f"the page is built, the tab {tab.NAME} comes too late")
        if tab.NAME in self._tabs:
            raise ValueError(f"there is a tab {tab.NAME} already")
        self._tabs[tab.NAME] = tab

    def freeze(self) -> None:
        self._frozen = True

    def folders(self) -> Iterator[tuple[str, Path]]:
        """Each tab's name, and where its scripts and styles lie."""
        yield from ((tab.NAME, Path(tab.__file__).parent) for tab in self)

    def __iter__(self) -> Iterator[Tab]:
        return iter(self._tabs.values())
