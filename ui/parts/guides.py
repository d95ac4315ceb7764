"""The lists of models that can guide the chosen checkpoint, in every unit of every tab."""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr

from backend import Backend
from ui.parts.actions import QUIET
from ui.parts.checkpoint_bar import Bar

MARK = "field-guide_model"      # the class that the field table gives such a list
NONE = "None"


def wire(page: gr.Blocks, backend: Backend, bar: Bar) -> None:
    """Renewed when a page is opened, with the checkpoint, and with the list of checkpoints."""
    lists = [block for block in page.blocks.values() if isinstance(block, gr.Dropdown) and MARK in block.elem_classes]
    if not lists:
        return
    asked: dict[str, Any] = {"inputs": [bar.checkpoint], "outputs": lists, **QUIET}
    page.load(partial(_choices, backend, len(lists), False), **asked)
    bar.checkpoint.change(partial(_choices, backend, len(lists), False), **asked)
    bar.refresh.click(partial(_choices, backend, len(lists), True), **asked)


def _choices(backend: Backend, lists: int, refresh: bool, checkpoint: str | None) -> list[Any]:
    files = [file.key for file in backend.guide_models(checkpoint or "", refresh)]
    return [gr.update(choices=[NONE, *files])] * lists
