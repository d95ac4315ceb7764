"""How large a picture gets that is made from another: outpainting adds to it, SD upscale and Extras multiply it.

Arithmetic only; read by the front when a job is submitted and by the worker when it draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.errors import InvalidRequest
from backend.request.choices import DRAW, NO_UPSCALER
from backend.request.cross_field_checks import MAX_PIXELS, OUTPAINT
from backend.request.detailer import DETAILER_UNIT
from backend.request.detailer import SIZES as DETAILER_SIZES
from backend.request.record import Record
from backend.request.request import FIELDS, Request

Size = tuple[int, int]          # width, height
CELL = 8                        # pixels per latent cell, where a family has no other number of them
LEAST, MOST = 64, 8192          # pixels of a side: the bounds of the fields `width` and `height`
SIZES = ("width", "height", "hr_resize_x", "hr_resize_y", "seed_resize_from_w", "seed_resize_from_h")


@dataclass(frozen=True, slots=True)
class Margins:
    """Pixels that outpainting adds at each side."""

    left: int
    right: int
    up: int
    down: int

    @classmethod
    def of(cls, request: Request) -> Margins | None:
        """Those of a request; None when it adds nothing."""
        sides = cls(*(getattr(request, name) for name in OUTPAINT))
        starts = request.init_image and request.process == DRAW
        return sides if starts and any((sides.left, sides.right, sides.up, sides.down)) else None

    def around(self, size: Size) -> Size:
        """The size of a picture with these margins."""
        return size[0] + self.left + self.right, size[1] + self.up + self.down


def in_cells(request: Request, cell: int) -> Request:
    """The request with sizes that are whole in latent cells of `cell` pixels, as it is drawn.

    What stands over is cut off, as AUTOMATIC1111 does, so that no picture claims a size that it does not have.
    """
    sides = {name: getattr(request, name) for name in SIZES}
    cut: dict[str, Any] = {name: max(side // cell, 1) * cell for name, side in sides.items()
                           if side % cell and not request.idle(FIELDS[name])}
    if any(unit[name] % cell for unit in request.detailers for name in DETAILER_SIZES):
        cut["detailers"] = tuple(Record({**unit, **{name: unit[name] // cell * cell for name in DETAILER_SIZES}})
                                 for unit in request.detailers)
    return request.replace(**cut) if cut else request


def rounding(asked: Request, drawn: Request) -> tuple[str, ...]:
    """A sentence for each size that is drawn otherwise than it was asked for."""
    if drawn is asked:
        return ()
    pairs = [(FIELDS[name].label, getattr(asked, name), getattr(drawn, name)) for name in SIZES]
    pairs += [(DETAILER_UNIT[name].label, before[name], after[name])
              for before, after in zip(asked.detailers, drawn.detailers, strict=True) for name in DETAILER_SIZES]
    return tuple(f"{label}: {after} in place of {before}; the model draws in whole cells."
                 for label, before, after in pairs if after != before)


def form_sizes(asked: Mapping[str, Any], drawn: Request) -> dict[str, tuple[float, int]]:
    """Sizes of a form that `drawn` has otherwise, by field name: what the form has, and what is drawn.

    Not the size that outpainting makes, which is the grown picture's and no value of the form.
    """
    grown = Margins.of(drawn) is not None and drawn.inpaint_area == "Whole picture"
    names = [name for name in SIZES if not (grown and name in ("width", "height")) and not drawn.idle(FIELDS[name])]
    pairs = {name: (asked.get(name), getattr(drawn, name)) for name in names}
    return {name: pair for name, pair in pairs.items() if isinstance(pair[0], int | float) and pair[0] != pair[1]}


def settled(request: Request, size: Size, cell: int = CELL) -> Request:
    """The request with the width and height that it draws, when it starts from a picture of `size`.

    `cell`: pixels per latent cell.
    With outpainting these are the grown picture's, in whole cells; with "Only masked" they stay those of the part that
    is drawn. Raises InvalidRequest naming the field that makes the result too large.
    """
    if margins := Margins.of(request):
        grown = margins.around(size)
        _check(grown, max(OUTPAINT, key=lambda name: getattr(request, name)))
        if request.inpaint_area == "Whole picture":
            width, height = drawn(grown, cell)
            return request.replace(width=width, height=height)
    if upscales(request):
        _check(upscaled(request, size), "sd_upscale_factor")
    return request


def drawn(size: Size, cell: int = CELL) -> Size:
    """The size in whole cells that holds a picture of `size`, and is large enough to draw."""
    width, height = (-(-max(side, LEAST) // cell) * cell for side in size)
    return width, height


def grows(request: Request) -> bool:
    """Whether the size of the result follows from that of the picture that it starts from."""
    return Margins.of(request) is not None or upscales(request)


def upscales(request: Request) -> bool:
    """Whether the picture is drawn again in tiles."""
    return request.sd_upscale != NO_UPSCALER and bool(request.init_image) and request.process == DRAW


def upscaled(request: Request, size: Size) -> Size:
    """The size of SD upscale's result from a picture of `size`."""
    width, height = (max(round(side * request.sd_upscale_factor), 1) for side in size)
    return width, height


def enlarged(request: Request, size: Size) -> tuple[Size, str]:
    """The size to which Extras scales a picture of `size`, before what stands over is cut, and the field behind it."""
    (width, height), x, y = size, request.upscale_to_width, request.upscale_to_height
    by = max(x / max(width, 1), y / max(height, 1)) or request.upscale_by
    field = "upscale_to_width" if x else "upscale_to_height" if y else "upscale_by"
    return (max(round(width * by), x, 1), max(round(height * by), y, 1)), field


def keeps_source(request: Request) -> bool:
    """Whether only a part of the picture is drawn, and put back into it: the result is as large as that."""
    masks = bool(request.mask) or Margins.of(request) is not None
    return masks and request.inpaint_area == "Only masked" and bool(request.init_image) and request.process == DRAW


def _check(size: Size, field: str) -> None:
    if max(size) > MOST or size[0] * size[1] > MAX_PIXELS:
        sides = f"{size[0]:,} x {size[1]:,}"
        raise InvalidRequest(f"makes the picture {sides} pixels; {MOST:,} a side are the most", field=field)
