"""The img2img tab: pictures from a picture, and with a mask from a part of it."""

from __future__ import annotations

import gradio as gr

from backend import Backend
from ui.fields import Form
from ui.parts import checkpoint_bar, init_image, workbench
from ui.tabs.img2img import batch

NAME = TITLE = "img2img"
OUTPAINT = ("outpaint_left", "outpaint_right", "outpaint_up", "outpaint_down")
MARGINS = {"None": 0, "64 on all sides": 64, "128 on all sides": 128}


def place(backend: Backend, bar: checkpoint_bar.Bar, page: gr.Blocks) -> None:
    with workbench.place(NAME, backend, bar, page, init_image.place) as bench:
        form = bench.form
        bench.complete = init_image.complete
        form.place("denoising_strength")
        form.place("resize_mode")
        form.rest("img2img")
        _inpainting(form)
        workbench.sampling(form)
        workbench.shape(form)
        init_image.wire_size(form)
        workbench.drawing(form)
        batch.place(NAME)
        _fold(form, "Loopback: draw again from the result", "loopback")
        _fold(form, "SD upscale: larger, drawn again tile by tile", "sd_upscale")
        _fold(form, "More img2img options", "img2img_extra")
        workbench.refiner(form)
        workbench.advanced(form)
        workbench.guides(form)
        workbench.face_swap(form)
        workbench.detailer(form)
        workbench.extensions(form)
        bench.before = init_image.before(form)


def _inpainting(form: Form) -> None:
    _fold(form, "Inpainting: how the mask is used", "inpaint")
    with gr.Accordion("Outpainting: more picture at its sides", open=False, elem_id=f"{NAME}_outpaint_fold"):
        with gr.Row(elem_classes=["shapes", "margins"]):
            buttons = {pixels: gr.Button(label, elem_classes=["shape"], min_width=40)
                       for label, pixels in MARGINS.items()}
        form.rest("outpaint")
        gr.HTML('<p class="outcome" role="status"></p>', elem_id=f"{NAME}_outcome", js_on_load=None,
                apply_default_css=False)
    for pixels, button in buttons.items():
        button.click(fn=None, outputs=[form[name] for name in OUTPAINT], js=f"() => {[pixels] * len(OUTPAINT)}")


def _fold(form: Form, title: str, group: str) -> None:
    with gr.Accordion(title, open=False, elem_id=f"{NAME}_{group}_fold"):
        form.rest(group)
