"""The picture to start from, and what is painted on it: a mask, a sketch, or both.

The browser sends a chosen file to `/easel/upload` and what is painted to `/easel/upload/<id>/paint`; the form keeps the
ids of picture, mask and paint, and which of them the mode counts. The editor is a view of what these ids name.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import gradio as gr

from backend import Door, InvalidRequest, NotFound, Problem
from ui.fields import Form
from ui.fragment import fragment
from ui.script import script

PLAIN, SKETCH, INPAINT, INPAINT_SKETCH = MODES = ("img2img", "Sketch", "Inpaint", "Inpaint sketch")
MODE, PAINT = ASIDE = ("editor_mode", "paint")      # kept by the form like fields, and turned into fields at Generate
ORANGE = ("#ff6e28", 0.6)
SIZE = 25               # of the brush and the eraser, a radius in pixels of the picture
COLOURS = ("#000000", "#ffffff", "#7f7f7f", "#d62828", "#f4a236", "#f7d64a", "#3a9d4f", "#2f6fc1", "#7b4fb5",
           "#8a5a3b", "#f2c9ac")
MASK_BRUSH = gr.Brush(default_size=SIZE, colors=[ORANGE], default_color=ORANGE, color_mode="fixed")
SKETCH_BRUSH = gr.Brush(default_size=SIZE, colors=list(COLOURS), default_color="#d62828", color_mode="defaults")
MISSING = Problem("is missing: choose a picture first", "init_image")
GONE = Problem("is no longer there; choose the picture again", "init_image")


def place(form: Form) -> None:
    with gr.Column(elem_id=f"{form.tab}_init_image", elem_classes=["start"]):
        mode = gr.Radio(list(MODES), value=PLAIN, label="What the brush does", elem_id=f"{form.tab}_{MODE}",
                        elem_classes=["modes"])
        gr.HTML(fragment(__file__, "picture.html"), js_on_load=None, apply_default_css=False)
        editor = _editor(form)
    with gr.Accordion("Upload a mask", open=False, elem_id=f"{form.tab}_mask_fold"):
        gr.HTML(fragment(__file__, "mask.html"), elem_id=f"{form.tab}_mask", elem_classes=["field"], js_on_load=None,
                apply_default_css=False)
    form.place("init_image")
    form.place("mask")
    form.adopt(MODE, mode)
    form.adopt(PAINT, gr.Textbox("", visible="hidden", elem_id=f"{form.tab}_{PAINT}_id"))
    _wire(form, editor)


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


def _editor(form: Form) -> gr.ImageEditor:
    """Its first canvas is smaller than any picture: restored paint is placed by the largest canvas so far."""
    return gr.ImageEditor(
        type="filepath", format="png", canvas_size=(8, 8), sources=(), transforms=(), layers=False, buttons=[],
        height=420, show_label=False, interactive=True, brush=MASK_BRUSH, eraser=gr.Eraser(default_size=SIZE),
        elem_id=f"{form.tab}_editor", elem_classes=["editor"])


def _wire(form: Form, editor: gr.ImageEditor) -> None:
    """The browser shows what the form names and sends what is painted by itself.

    Not by the editor's own `change`: for each one it leaves copies in the server's memory that nothing takes away.
    """
    show = gr.Button("Show the picture", visible="hidden", elem_id=f"{form.tab}_show")
    show.click(fn=None, outputs=[editor], js=script("picture.shown()"))
    for name, brush in (("mask", MASK_BRUSH), ("sketch", SKETCH_BRUSH)):
        update = json.dumps({"__type__": "update", "brush": asdict(brush)})
        take = gr.Button(f"Brush for a {name}", visible="hidden", elem_id=f"{form.tab}_{name}_brush")
        take.click(fn=None, outputs=[editor], js=f"() => ({update})")
