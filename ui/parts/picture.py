"""The picture to start from and the mask painted on it.

The browser sends a chosen file to `/easel/upload`, and the form keeps the ids of picture and mask. The editor shows
what these ids name, so it can be filled again after a refresh; what is painted there becomes a new mask.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image, ImageChops

from backend import Backend, InvalidRequest, NotFound, Problem, UserError
from ui.fields import Form
from ui.parts.actions import QUIET
from ui.theme import fragment
from ui.visitor import owner

PAINT = ("#ff6e28", 0.6)
PAINTED = 64                # alpha from which a stroke counts; whole paint has 153
ROUNDING = 2                # levels by which a graphics card may change a picture that it only shows
Drawn = dict[str, Any]      # the editor's value: "background" and "layers", Pillow images
MISSING = Problem("is missing: choose a picture first", "init_image")


def place(form: Form, backend: Backend) -> gr.ImageEditor:
    with gr.Column(elem_id=f"{form.tab}_init_image", elem_classes=["start"]):
        gr.HTML(fragment("picture.html"), js_on_load=None, apply_default_css=False)
        editor = _editor(form)
    with gr.Accordion("Upload a mask", open=False, elem_id=f"{form.tab}_mask_fold"):
        gr.HTML(fragment("mask.html"), elem_id=f"{form.tab}_mask", elem_classes=["field"], js_on_load=None,
                apply_default_css=False)
    form.place("init_image")
    form.place("mask")
    _wire(form, backend, editor)
    return editor


def _editor(form: Form) -> gr.ImageEditor:
    """Its first canvas is smaller than any picture: a restored mask is placed by the largest canvas so far."""
    return gr.ImageEditor(
        type="pil", format="png", canvas_size=(8, 8), sources=(), transforms=(), layers=False, buttons=[], height=420,
        show_label=False,
        brush=gr.Brush(default_size=25, colors=[PAINT], default_color=PAINT, color_mode="fixed"),
        eraser=gr.Eraser(default_size=25), elem_id=f"{form.tab}_editor", elem_classes=["editor"])


def _wire(form: Form, backend: Backend, editor: gr.ImageEditor) -> None:
    """The browser shows what the form names, and after a stroke has the server keep what is painted.

    Not by the editor's own `change`: for each one it leaves copies in the server's memory that nothing takes away.
    """
    show = gr.Button("Show the picture", visible="hidden", elem_id=f"{form.tab}_show")
    show.click(fn=None, outputs=[editor], js="() => easel.picture.shown()")
    kept = gr.JSON(visible=False)
    inputs = [editor, form["init_image"], form["mask"]]
    keep = gr.Button("Keep the mask", visible="hidden", elem_id=f"{form.tab}_keep")
    keep.click(_keeping(backend), inputs, [kept], trigger_mode="always_last", concurrency_limit=None, **QUIET).then(
        fn=None, inputs=[kept], js="kept => easel.picture.painted(kept)")


def wire_size(form: Form) -> None:
    button = gr.Button("Size from the picture", elem_id=f"{form.tab}_picture_size", elem_classes=["small"])
    size = [form["width"], form["height"]]
    button.click(fn=None, inputs=size, outputs=size, js="(...size) => easel.picture.size(size)")


def complete(backend: Backend, owner: str, values: dict[str, Any], editor: Drawn | None) -> dict[str, Any]:
    """The newest picture and mask as ids; the form's own while the editor is empty. UserError without a picture."""
    if editor and _background(editor):
        values = values | _stored(backend, owner, editor, values["init_image"] or "", values["mask"] or "")
    if not values["init_image"]:
        raise InvalidRequest(problems=[MISSING])
    return values


def _keeping(backend: Backend) -> Callable[..., dict[str, Any]]:
    def keep(request: gr.Request, editor: Drawn | None, init_image: str, mask: str) -> dict[str, Any]:
        asked = {"asked": init_image or ""}
        if not editor or not _background(editor):
            return asked | {"init_image": "", "mask": ""}
        try:
            return asked | _stored(backend, owner(request), editor, init_image or "", mask or "")
        except UserError as error:
            return asked | {"problems": [{"field": "init_image", "message": str(error)}]}

    return keep


def _background(drawn: Drawn) -> Image.Image | None:
    """The picture in the editor; None for an empty canvas."""
    image = drawn["background"]
    return image if image and image.getchannel("A").getextrema()[1] else None


def _stored(backend: Backend, owner: str, drawn: Drawn, init_image: str, mask: str) -> dict[str, str]:
    """Ids of what is drawn: those given where nothing has changed, so that a picture's own pixels are used."""
    picture = drawn["background"].convert("RGB")
    if not _same(picture, _former(backend, owner, init_image), ROUNDING):
        init_image = backend.upload(_png(picture), owner).id
    return {"init_image": init_image, "mask": _mask(backend, owner, drawn["layers"], mask)}


def _mask(backend: Backend, owner: str, layers: list[Image.Image], mask: str) -> str:
    """The id of the paint as black and white, "" for none. An uploaded mask keeps its greys until it is painted on."""
    if not layers:
        return mask
    paint = layers[0].getchannel("A").point(lambda alpha: 255 if alpha >= PAINTED else 0)
    former = _former(backend, owner, mask)
    if former and _same(paint, _black_and_white(former, paint.size)):
        return mask
    return backend.upload(_png(paint), owner, mask=True).id if paint.getbbox() else ""


def _black_and_white(mask: Image.Image, size: tuple[int, int]) -> Image.Image:
    return mask.convert("L").resize(size, Image.Resampling.NEAREST).point(lambda level: 255 if level >= 128 else 0)


def _former(backend: Backend, owner: str, upload: str) -> Image.Image | None:
    try:
        return Image.open(io.BytesIO(backend.uploaded(upload, owner).read_bytes())) if upload else None
    except NotFound:
        return None


def _same(image: Image.Image, former: Image.Image | None, tolerance: int = 0) -> bool:
    if former is None or former.size != image.size:
        return False
    difference = ImageChops.difference(image, former.convert(image.mode))
    return int(np.asarray(difference).max()) <= tolerance


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()
