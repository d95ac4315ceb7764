"""The lists of upscalers, VAEs, detectors and face models in every tab: what needs no file, then the files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import gradio as gr

from backend import Backend
from ui.parts.checkpoint_bar import Bar
from ui.script_calls import QUIET

KINDS = ("upscaler", "vae", "object_detector", "face_model")     # of fields, each called as its kind of files


def wire(page: gr.Blocks, backend: Backend, bar: Bar) -> None:
    """Renewed when a page is opened, and with the list of checkpoints."""
    lists = [block for block in page.blocks.values() if isinstance(block, gr.Dropdown) and _kind(block)]
    own = [(_kind(one), tuple(one.choices)) for one in lists]
    page.load(partial(_choices, backend, own, False), outputs=lists, **QUIET)
    bar.refresh.click(partial(_choices, backend, own, True), outputs=lists, **QUIET)


def _choices(backend: Backend, lists: Sequence[tuple[str, Sequence[tuple[str, str]]]], refresh: bool) -> Any:
    """For each list, by the kind of its files and the choices that need none."""
    lists_of = partial(backend.usable_files, refresh=True) if refresh else backend.known_files.usable
    files = {kind: [file.key for file in lists_of(kind)] for kind in KINDS}
    return [gr.update(choices=[*choices, *((key, key) for key in files[kind])]) for kind, choices in lists]


def _kind(one: gr.Dropdown) -> str:
    return next((kind for kind in KINDS if f"field-{kind}" in one.elem_classes), "")
