"""The picture to start from, and what is painted on it: a mask, a sketch, or both.

The browser sends a chosen file to `/easel/upload` and what is painted to `/easel/upload/<id>/paint`; the form keeps the
ids of picture, mask and paint, and which of them the mode counts. The painter shows what these ids name.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from backend import Door, InvalidRequest, NotFound, Problem
from ui.fields import Form
from ui.fragment import fragment
from ui.parts import painter
from ui.script_calls import script

PLAIN, SKETCH, INPAINT, INPAINT_SKETCH = MODES = ("img2img", "Sketch", "Inpaint", "Inpaint sketch")
MODE, PAINT = ASIDE = ("editor_mode", "paint")      # kept by the form like fields, and turned into fields at Generate
MISSING = Problem("is missing: choose a picture first", "init_image")
GONE = Problem("is no longer there; choose the picture again", "init_image")


def place(form: Form) -> None:
    with gr.Column(elem_id=f"{form.tab}_init_image", elem_classes=["start"]):
        mode = gr.Radio(list(MODES), value=PLAIN, label="What the brush does", elem_id=f"{form.tab}_{MODE}",
                        elem_classes=["modes"])
        painter.place(f"{form.tab}_painter")
        gr.HTML(fragment(__file__, "init_image.html"), js_on_load=None, apply_default_css=False)
    with gr.Accordion("Upload a mask", open=False, elem_id=f"{form.tab}_mask_fold"):
        gr.HTML(fragment(__file__, "mask.html"), elem_id=f"{form.tab}_mask", elem_classes=["field"], js_on_load=None,
                apply_default_css=False)
    form.place("init_image")
    form.place("mask")
    form.adopt(MODE, mode)
    form.adopt(PAINT, gr.Textbox("", visible="hidden", elem_id=f"{form.tab}_{PAINT}_id"))


def before(form: Form) -> str:
    """The script that has the newest strokes in the form's values when Generate sends them."""
    return script(f"picture.complete({form.names}, values)", "...values")


def complete(door: Door, values: dict[str, Any]) -> dict[str, Any]:
    """Picture and mask as the mode has them. InvalidRequest without a picture."""
    values = dict(values)
    mode, paint = (values.pop(name) or "" for name in ASIDE)
    if not values["init_image"]:
        raise InvalidRequest(problems=[MISSING])
    if mode != INPAINT:
        values["mask"] = ""
    if paint and mode in (SKETCH, INPAINT_SKETCH):
        try:
            values["init_image"], mask = door.sketch(values["init_image"], paint)
        except NotFound:
            raise InvalidRequest(problems=[GONE]) from None
        values["mask"] = mask if mode == INPAINT_SKETCH else ""
    return values


def wire_size(form: Form) -> None:
    size = [form["width"], form["height"]]
    with gr.Row(elem_classes=["resize"]):
        by = gr.Number(1, label="Resize by", minimum=0.05, maximum=8, step=0.05, elem_id=f"{form.tab}_resize_by",
                       min_width=110, elem_classes=["field-float"])
        button = gr.Button("Size from the picture", elem_id=f"{form.tab}_picture_size", elem_classes=["small"])
    outputs: dict[str, Any] = {"inputs": [*size, by], "outputs": size}
    button.click(fn=None, **outputs, js=script("picture.size([width, height], by)", "width, height, by"))
    by.input(fn=None, **outputs, js=script("picture.size([width, height], by)", "width, height, by"))
