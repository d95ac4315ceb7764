"""Width and height: swapped, brought to a shape of about the same area, or kept in proportion."""

from __future__ import annotations

import gradio as gr

from ui.fields import Form

SHAPES = ("1:1", "4:3", "3:2", "16:9", "3:4", "2:3", "9:16")


def place(form: Form) -> None:
    with gr.Row(elem_classes=["size"]):
        with gr.Column(min_width=160):
            width, height = form.place("width"), form.place("height")
        with gr.Column(elem_classes=["size-acts"], min_width=34, scale=0):
            swap = gr.Button("Swap width and height", elem_id=f"{form.tab}_swap", elem_classes=["icon", "icon-swap"])
            gr.Button("Keep the proportions", elem_id=f"{form.tab}_proportions", elem_classes=["icon", "icon-lock"])
    swap.click(fn=None, inputs=[width, height], outputs=[width, height], js="(width, height) => [height, width]")
    buttons = "".join(f'<button type="button" class="shape" data-shape="{shape}">{shape}</button>' for shape in SHAPES)
    gr.HTML(f'<div class="shapes" role="group" aria-label="Shape">{buttons}</div>', js_on_load=None,
            apply_default_css=False)
