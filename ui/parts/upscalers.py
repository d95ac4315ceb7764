"""The lists of upscalers in every tab: those that need no file, then the files that lie in the folders now."""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr

from backend import FIELDS, Backend
from ui.parts.actions import QUIET
from ui.parts.checkpoint_bar import Bar

MARK = "field-upscaler"         # the class that the field table gives such a list


def wire(page: gr.Blocks, backend: Backend, bar: Bar) -> None:
    """Renewed when a page is opened, and with the list of checkpoints."""
    lists = [block for block in page.blocks.values() if isinstance(block, gr.Dropdown) and MARK in block.elem_classes]
    page.load(partial(_choices, backend, lists, False), outputs=lists, **QUIET)
    bar.refresh.click(partial(_choices, backend, lists, True), outputs=lists, **QUIET)


def _choices(backend: Backend, lists: list[gr.Dropdown], refresh: bool) -> Any:
    files = [file.key for file in backend.upscalers(refresh)]
    updates = [gr.update(choices=[*_field(one).choices, *files]) for one in lists]
    return updates if len(updates) > 1 else updates[0]


def _field(one: gr.Dropdown) -> Any:
    return FIELDS[str(one.elem_id).partition("_")[2]]
