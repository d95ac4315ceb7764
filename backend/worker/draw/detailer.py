"""The detailer: what is found in a finished picture, faces for one, is drawn again at full size, with its own words.

Like inpainting with "Only masked": a box around the object is brought to the size that the picture is drawn in, drawn
from there, and put back under a blurred mask. Everything beside the masks stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageFilter
from torch import Tensor

from backend.request.checkpoints import changes_checkpoint
from backend.request.detailer import AREA, EACH, INVERTED, is_on, own_sampling, own_size, texts
from backend.request.face_swap import SOURCES
from backend.request.record import Record
from backend.request.request import FIELDS, MAX_SEED, Request
from backend.sampling.protocol import Noisy
from backend.worker.draw.init_image import Source, drawn_box
from backend.worker.draw.paste_back import Frame, fitted
from backend.worker.draw.plan import Plan, parametrisation, plan
from backend.worker.draw.work_items import Canvas, Drawing, UseModel, Work
from backend.worker.guidance.interrupted import Interrupted
from backend.worker.pixels import Pixels
from backend.worker.pixels.object_detection import FindObjects, Objects
from backend.worker.pixels.upscaling import Expect

DRAWN = "0" * 64        # no upload's id: it starts from the picture that was drawn
LEFT_OUT = (
    "enable_hr", "detailers", "guides", "regions", *SOURCES, "face_restoration", "refiner_checkpoint", "tiling",
    "sd_upscale", "loopback_loops", "loopback_round", "mask", "masked_content", "soft_inpainting", "color_correction",
    "outpaint_left", "outpaint_right", "outpaint_up", "outpaint_down", "resize_mode",
)
"""Fields that are about the picture as a whole."""


@dataclass(frozen=True, slots=True)
class Drawer:
    """How a part is drawn: as the whole picture was, by `draw`, on its canvas."""

    draw: Callable[[Plan, Canvas, Callable[[Noisy, Tensor], None], Source], Drawing]
    canvas: Canvas
    on_step: Callable[[Noisy, Tensor], None]


def detailed(request: Request, drawer: Drawer, pixels: Pixels) -> Generator[Work, Any, tuple[Pixels, bool]]:
    """The picture (H, W, 3) with what the request's detailers find drawn again; whether it was interrupted meanwhile.

    Then the objects that were finished are in it.
    """
    units = [(number, unit) for number, unit in enumerate(request.detailers) if is_on(unit)]
    try:
        if units and changes_checkpoint(request):
            drawer = replace(drawer, canvas=replace(drawer.canvas, model=(yield UseModel(request.checkpoint))))
        for number, unit in units:
            found = yield FindObjects(pixels, unit.model, unit.classes, unit.confidence, number, unit.sam)
            canvas = _own_canvas(drawer.canvas, unit)
            parts = _parts(request, canvas, unit, _masks(found, unit, pixels))
            yield Expect(sum(part.calls for part, _ in parts))
            for part, mask in parts:
                padding = max(pixels.shape) if unit.whole else unit.padding
                source = _source(pixels, mask, padding, canvas.size)
                pixels = yield from drawer.draw(part, canvas, drawer.on_step, source)
    except Interrupted:
        return pixels, True
    return pixels, False


def _own_canvas(canvas: Canvas, unit: Record) -> Canvas:
    """Of the size that the unit draws at."""
    height, width = canvas.size
    wide, high = own_size(unit, (width, height))
    return replace(canvas, shape=(canvas.shape[0], high // canvas.cell, wide // canvas.cell), tiling=False)


def _parts(
    request: Request, canvas: Canvas, unit: Record, masks: Sequence[Image.Image]
) -> list[tuple[Plan, Image.Image]]:
    """A plan for each object that is drawn again, and its mask."""
    model, whole = canvas.model, request.replace(**{name: FIELDS[name].default for name in LEFT_OUT})
    found = []
    for number, mask in enumerate(masks):
        said = texts(unit, number, (request.prompt, request.negative_prompt))
        if said is None:
            continue
        part = whole.replace(prompt=said[0], negative_prompt=said[1], init_image=DRAWN, width=canvas.size[1],
                             height=canvas.size[0], denoising_strength=unit.denoising_strength,
                             seed=(request.seed + number) % (MAX_SEED + 1), **own_sampling(unit))
        table = parametrisation(part, model.parametrisation).table
        found.append((plan(part, table, sdxl_knots=model.sdxl_knots), mask))
    return found


def _masks(found: Objects, unit: Record, pixels: Pixels) -> list[Image.Image]:
    """Blurred grey levels of the picture's size, 255 to draw anew, for each object that leaves something to draw."""
    size = pixels.shape[1], pixels.shape[0]
    areas = (found.boxes[:, 2:] - found.boxes[:, :2]).prod(1)
    shares = areas / (size[0] * size[1])
    chosen = np.flatnonzero((shares >= unit.least_share) & (shares <= unit.most_share))
    if unit.most:
        ranked = chosen[np.argsort(-areas[chosen], kind="stable")] if unit.most_by == AREA else chosen
        chosen = np.sort(ranked[:unit.most])
    masks = [_moved(_boxed(found.boxes[number], unit.grow, size) if found.outlines is None
                    else _outlined(found.outlines[number], unit.grow), unit) for number in chosen]
    wanted = _merged([mask for mask in masks if mask.getbbox()], unit.merge)
    return [mask.filter(ImageFilter.GaussianBlur(unit.mask_blur)) if unit.mask_blur else mask for mask in wanted]


def _merged(masks: list[Image.Image], merge: str) -> list[Image.Image]:
    """All masks in one, or what none of them holds, where that is asked for; nothing where that leaves nothing."""
    if merge == EACH or not masks:
        return masks
    one = reduce(ImageChops.lighter, masks)
    made = ImageChops.invert(one) if merge == INVERTED else one
    return [made] if made.getbbox() else []


def _moved(mask: Image.Image, unit: Record) -> Image.Image:
    """What is moved over the picture's edge is gone."""
    if not unit.x_offset and not unit.y_offset:
        return mask
    return mask.transform(mask.size, Image.Transform.AFFINE, (1, 0, -unit.x_offset, 0, 1, unit.y_offset))


def _boxed(box: np.ndarray, grow: int, size: tuple[int, int]) -> Image.Image:
    grown = box + np.array([-1, -1, 1, 1]) * (grow / 2)
    left, top, right, bottom = np.rint(grown.clip(0, [*size, *size])).astype(int).tolist()
    mask = Image.new("L", size)
    if left < right and top < bottom:
        mask.paste(255, (left, top, right, bottom))
    return mask


def _outlined(outline: np.ndarray, grow: int) -> Image.Image:
    import cv2

    side = 2 * (abs(grow) // 2) + 1
    change = cv2.dilate if grow > 0 else cv2.erode
    return Image.fromarray(change(outline.astype(np.uint8) * 255, np.ones((side, side), np.uint8)))


def _source(pixels: Pixels, mask: Image.Image, padding: int, size: tuple[int, int]) -> Source:
    """The part around a mask, brought to `size` (height, width)."""
    box = drawn_box(mask, padding, size[1] / size[0])
    frame = Frame(pixels, np.asarray(mask), size, box)
    small = fitted(mask.crop(box), size[1], size[0], "Resize and fill")
    return Source(frame.part(), np.asarray(small), frame, given=False)
