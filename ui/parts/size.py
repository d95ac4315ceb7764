"""Width and height, swapped or brought to a shape of about the same area by one click."""

from __future__ import annotations

import gradio as gr

from ui.fields import Form
from ui.script_calls import script

SHAPES = ("1:1", "4:3", "3:2", "16:9", "3:4", "2:3", "9:16")


def place(form: Form) -> None:
    with gr.Row(elem_classes=["size"]):
        with gr.Column(min_width=160):
            width, height = form.place("width"), form.place("height")
        swap = gr.Button("Swap width and height", elem_id=f"{form.tab}_swap", elem_classes=["icon", "icon-swap"])
    swap.click(fn=None, inputs=[width, height], outputs=[width, height], js="(width, height) => [height, width]")
    with gr.Row(elem_classes=["shapes"]):
        for shape in SHAPES:
            button = gr.Button(shape, elem_classes=["shape"], min_width=40)
            across, down = shape.split(":")
            button.click(fn=None, inputs=[width, height], outputs=[width, height],
                         js=script(f"shape(width, height, {across} / {down})", "width, height"))
