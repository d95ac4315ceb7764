"""How large a picture gets that is made from another one: outpainting adds to its sides, SD upscale multiplies it.

Arithmetic only; read by the front when a job is submitted and by the worker when it draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.errors import InvalidRequest
from backend.request.request import FIELDS, Request
from backend.request.rules import DRAW, MAX_PIXELS, NO_UPSCALER, OUTPAINT

Size = tuple[int, int]          # width, height
CELL = 8                        # pixels per latent cell, where a family has no other number of them
LEAST, MOST = 64, 8192          # pixels of a side: the bounds of the fields `width` and `height`
DRAWN = ("width", "height")
SIZES = (*DRAWN, "hr_resize_x", "hr_resize_y", "seed_resize_from_w", "seed_resize_from_h")
WHOLE = "Whole picture"         # the area of inpainting with which outpainting draws all of the grown picture


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


@dataclass(frozen=True, slots=True)
class Rounded:
    """A size that is drawn otherwise than it was asked for, because models draw whole latent cells; pixels."""

    field: str
    asked: int
    drawn: int

    def __str__(self) -> str:
        return f"{FIELDS[self.field].label}: {self.drawn} in place of {self.asked}; the model draws whole cells only."


def in_cells(request: Request, cell: int) -> Request:
    """The request with every size that counts in whole latent cells of `cell` pixels, as a model draws it.

    Width and height go to the nearest. Of hires and seed sizes what stands over a multiple of 8 is cut off first, as
    AUTOMATIC1111 does; 0 stays, which is none.
    """
    sides = {name: getattr(request, name) for name in SIZES if not request.idle(FIELDS[name])}
    whole = {name: _whole(side if name in DRAWN else side // CELL * CELL, cell) for name, side in sides.items() if side}
    return request.replace(**{name: side for name, side in whole.items() if side != sides[name]})


def rounded_sizes(asked: Mapping[str, Any], request: Request) -> list[Rounded]:
    """The sizes of `asked`, values by field name, in place of which its `request` has others.

    Those that follow from the picture that is grown are not among them.
    """
    grows = bool(Margins.of(request)) and request.inpaint_area == WHOLE
    names = [name for name in SIZES
             if asked.get(name) and not (grows and name in DRAWN) and not request.idle(FIELDS[name])]
    sizes = [Rounded(name, int(float(asked[name])), getattr(request, name)) for name in names]
    return [size for size in sizes if size.asked != size.drawn]


def _whole(side: int, cell: int) -> int:
    return max((2 * side + cell) // (2 * cell), 1) * cell


def settled(request: Request, size: Size, cell: int = CELL) -> Request:
    """The request with the width and height that it draws, when it starts from a picture of `size`.

    `cell`: pixels per latent cell.
    With outpainting these are the grown picture's, in whole cells; with "Only masked" they stay those of the part that
    is drawn. Raises InvalidRequest naming the field that makes the result too large.
    """
    if margins := Margins.of(request):
        grown = margins.around(size)
        _check(grown, max(OUTPAINT, key=lambda name: getattr(request, name)))
        if request.inpaint_area == WHOLE:
            width, height = drawn(grown, cell)
            return request.replace(width=width, height=height)
    if upscales(request):
        _check(upscaled(request, size), "sd_upscale_factor")
    return request


def drawn(size: Size, cell: int = CELL) -> Size:
    """The size in whole cells that holds a picture of `size`, and is large enough to draw."""
    width, height = (-(-max(side, LEAST) // cell) * cell for side in size)
    return width, height


def upscales(request: Request) -> bool:
    """Whether the picture is drawn again in tiles."""
    return request.sd_upscale != NO_UPSCALER and bool(request.init_image) and request.process == DRAW


def upscaled(request: Request, size: Size) -> Size:
    """The size of SD upscale's result from a picture of `size`."""
    width, height = (max(round(side * request.sd_upscale_factor), 1) for side in size)
    return width, height


def _check(size: Size, field: str) -> None:
    if max(size) > MOST or size[0] * size[1] > MAX_PIXELS:
        sides = f"{size[0]:,} x {size[1]:,}"
        raise InvalidRequest(f"makes the picture {sides} pixels; {MOST:,} a side are the most", field=field)
