"""The img2img tab: pictures from a picture, and with a mask from a part of it."""

from __future__ import annotations

import gradio as gr

from backend import Backend
from ui.parts import checkpoint_bar, picture, workbench

NAME = TITLE = "img2img"


def place(backend: Backend, bar: checkpoint_bar.Bar, page: gr.Blocks) -> None:
    with workbench.place(NAME, backend, bar, page) as bench:
        form = bench.form
        picture.place(form)
        bench.complete = picture.complete
        form.place("denoising_strength")
        form.place("resize_mode")
        form.rest("img2img")
        with gr.Accordion("Inpainting: how the mask is used", open=False, elem_id=f"{NAME}_inpaint"):
            form.rest("inpaint")
        workbench.sampling(form)
        workbench.shape(form)
        picture.wire_size(form)
        workbench.drawing(form)
        with gr.Accordion("More img2img options", open=False, elem_id=f"{NAME}_img2img_extra"):
            form.rest("img2img_extra")
        workbench.advanced(form)
        bench.before = picture.before(form)
