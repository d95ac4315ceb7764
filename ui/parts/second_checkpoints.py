"""The lists of checkpoints that may take over from the chosen one, in every tab."""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr

from backend import FIELDS, Backend
from ui.parts.checkpoint_bar import Bar, choices
from ui.script_calls import QUIET

MARK = "field-second_checkpoint"        # the class that the field table gives such a list


def wire(page: gr.Blocks, backend: Backend, bar: Bar) -> None:
    """Renewed when a page is opened, and after the list of checkpoints."""
    lists = [block for block in page.blocks.values() if isinstance(block, gr.Dropdown) and MARK in block.elem_classes]
    page.load(partial(_choices, backend, lists), outputs=lists, **QUIET)
    bar.facts.change(partial(_choices, backend, lists), outputs=lists, **QUIET)


def _choices(backend: Backend, lists: list[gr.Dropdown]) -> list[Any]:
    files = choices(backend)
    return [gr.update(choices=[*FIELDS[str(one.elem_id).partition("_")[2]].choices, *files]) for one in lists]
