"""Extras: a finished picture enlarged and its faces made clean, as AUTOMATIC1111's tab of that name does.

A program like `pipeline.draw`, without a checkpoint: what needs a network is yielded as a work item.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from PIL import Image

from backend.errors import InvalidRequest
from backend.request.choices import NO_UPSCALER
from backend.request.face_swap import swapped_size, swaps
from backend.request.output_size import enlarged
from backend.request.request import Request
from backend.worker.pixels import Pixels, swap_enlarging
from backend.worker.pixels.face_restoration import (
    NO_FACES,
    FindFaces,
    RestoreFace,
    SwapFaces,
    mixed,
    restored,
)
from backend.worker.pixels.upscaling import Enlarge, Expect, Inspect, Size, UpscalePlan, planned

MAX_PIXELS = 178_000_000     # of a result; Pillow reads no larger file back
RESTORERS = (("GFPGAN", "gfpgan_visibility"), ("CodeFormer", "codeformer_visibility"))
NOTHING = "Nothing was chosen to be done, so the picture is as it was."

Postprocessing = Generator[Inspect | Expect | Enlarge | FindFaces | RestoreFace | SwapFaces, Any, Pixels]
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Goal:
    """The size to scale to, and the size that is cut out of its middle."""

    size: Size
    crop: Size

    @classmethod
    def of(cls, request: Request, size: Size) -> Self:
        """By the factor; or to a size, of which one side may be 0. InvalidRequest when it is too large or nothing."""
        scaled, field = enlarged(request, size)
        _check_size(scaled, field)
        sides = request.upscale_to_width, request.upscale_to_height
        return cls(scaled, sides if all(sides) and request.upscale_crop else scaled)

    def cut(self, pixels: Pixels) -> Pixels:
        """The middle of the scaled pixels (H, W, 3)."""
        left, top = ((whole - kept) // 2 for whole, kept in zip(self.size, self.crop, strict=True))
        return pixels[top:top + self.crop[1], left:left + self.crop[0]]


def postprocess(request: Request, file: bytes, note: Note) -> Postprocessing:
    """The finished picture from the PNG that the request names, RGBA where that is.

    `note` takes what the person should know.
    """
    image = Image.open(io.BytesIO(file))
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    pixels = np.asarray(image.convert("RGB"))
    size = pixels.shape[1], pixels.shape[0]
    _check_swapped_size(request, size)
    goal = Goal.of(request, size) if request.upscaler_1 != NO_UPSCALER else Goal(size, size)
    plans = yield from _plans(request, size, goal)
    restorers = [(kind, getattr(request, field)) for kind, field in RESTORERS if getattr(request, field)]
    yield Expect(sum(plan.tiles for plan, _ in plans))
    if not plans and not restorers and not swaps(request):
        note(NOTHING)
    if request.upscale_first:
        pixels = yield from _enlarged(pixels, plans, goal)
        pixels = yield from _restored(pixels, restorers, request, note)
    else:
        pixels = yield from _restored(pixels, restorers, request, note)
        pixels = yield from _enlarged(pixels, plans, goal)
    return _see_through(pixels, alpha, goal) if alpha else pixels


def _check_swapped_size(request: Request, size: Size) -> None:
    if swap_enlarging.enlarges(request, replaced=1):
        _check_size(swapped_size(request, size), "face_swap_upscale_by")


def _check_size(size: Size, field: str) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise InvalidRequest(f"makes {size[0]:,} x {size[1]:,} pixels of this picture; at most "
                             f"{MAX_PIXELS // 10**6} megapixels are made", field=field)


def _see_through(pixels: Pixels, alpha: Image.Image, goal: Goal) -> Pixels:
    """The finished pixels with the source's alpha at their size: (H, W, 4). Networks know of no alpha."""
    size = pixels.shape[1], pixels.shape[0]
    if size != goal.crop:       # enlarged after a swap
        goal = Goal(size, size)
    large = alpha.resize(goal.size, Image.Resampling.BILINEAR)
    return np.dstack([pixels, goal.cut(np.asarray(large))])


def _plans(request: Request, size: Size, goal: Goal) -> Generator[Inspect, Any, list[tuple[UpscalePlan, float]]]:
    """What each upscaler has to do, with its share of the result; a second one without a first does nothing."""
    if request.upscaler_1 == NO_UPSCALER:
        return []
    second = request.upscaler_2_visibility if request.upscaler_2 != NO_UPSCALER else 0.0
    shares = [(request.upscaler_1, 1 - second), (request.upscaler_2, second)]
    plans = []
    for name, share in shares:
        if share:
            plan = yield from planned(name, size, goal.size)
            plans.append((plan, share))
    return plans


def _enlarged(pixels: Pixels, plans: list[tuple[UpscalePlan, float]], goal: Goal) -> Postprocessing:
    if not plans:
        return pixels
    results = []
    for plan, _ in plans:
        result = yield from plan.run(pixels)
        results.append(result)
    return goal.cut(mixed(*results, plans[1][1]) if len(results) == 2 else results[0])


def _restored(pixels: Pixels, restorers: list[tuple[str, float]], request: Request, note: Note) -> Postprocessing:
    if not swaps(request):
        return (yield from _clean(pixels, restorers, request, note))
    swapped = yield SwapFaces.of(request, pixels)
    pixels, enlarges = swapped.pixels, swap_enlarging.enlarges(request, swapped.replaced)
    if enlarges and request.face_swap_upscale_first:
        pixels = yield from swap_enlarging.larger(request, pixels)
    pixels = yield from _clean(pixels, restorers, request, note)
    if enlarges and not request.face_swap_upscale_first:
        pixels = yield from swap_enlarging.larger(request, pixels)
    return pixels


def _clean(pixels: Pixels, restorers: list[tuple[str, float]], request: Request, note: Note) -> Postprocessing:
    for kind, visibility in restorers:
        pixels, found = yield from restored(pixels, kind, request.codeformer_weight, visibility)
        if not found:
            note(NO_FACES)
            return pixels
    return pixels
