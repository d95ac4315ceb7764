"""The txt2img tab: pictures from words."""

from __future__ import annotations

import gradio as gr

from backend import Backend
from ui.parts import checkpoint_bar, workbench

NAME = TITLE = "txt2img"


def place(backend: Backend, bar: checkpoint_bar.Bar, page: gr.Blocks) -> None:
    with workbench.place(NAME, backend, bar, page) as bench:
        workbench.sampling(bench.form)
        workbench.shape(bench.form)
        workbench.drawing(bench.form)
        workbench.advanced(bench.form)
