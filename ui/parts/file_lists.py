"""The lists of upscalers and of VAEs in every tab: those that need no file, then the files that lie in the folders."""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr

from backend import FIELDS, Backend
from ui.parts.actions import QUIET
from ui.parts.checkpoint_bar import Bar

KINDS = ("upscaler", "vae")     # of fields, each called as the kind of files that it names


def wire(page: gr.Blocks, backend: Backend, bar: Bar) -> None:
    """Renewed when a page is opened, and with the list of checkpoints."""
    lists = [block for block in page.blocks.values() if isinstance(block, gr.Dropdown) and _kind(block)]
    page.load(partial(_choices, backend, lists, False), outputs=lists, **QUIET)
    bar.refresh.click(partial(_choices, backend, lists, True), outputs=lists, **QUIET)


def _choices(backend: Backend, lists: list[gr.Dropdown], refresh: bool) -> Any:
    files = {kind: [file.key for file in backend.usable_files(kind, refresh)] for kind in KINDS}
    return [gr.update(choices=[*_field(one).choices, *files[_kind(one)]]) for one in lists]


def _kind(one: gr.Dropdown) -> str:
    return next((kind for kind in KINDS if f"field-{kind}" in one.elem_classes), "")


def _field(one: gr.Dropdown) -> Any:
    return FIELDS[str(one.elem_id).partition("_")[2]]
