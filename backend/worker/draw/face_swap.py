"""Faces of a picture replaced and made clean, and the picture enlarged after that: ReActor's order of things.

Before drawing in the picture to start from, after it in what was drawn. Programs like `pipeline.draw`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from backend.request.choices import NO_RESTORER
from backend.request.face_swap import swaps_result
from backend.request.request import Request
from backend.worker.guidance.interrupted import Interrupted
from backend.worker.pixels import Pixels, swap_enlarging
from backend.worker.pixels.face_restoration import FindFaces, RestoreFace, SwapFaces, restored
from backend.worker.pixels.upscaling import Enlarge, Expect, Inspect

Finishing = Generator[Inspect | Expect | Enlarge | FindFaces | RestoreFace | SwapFaces, Any, Pixels]


def start(request: Request, pixels: Pixels) -> Finishing:
    """The picture to draw from (H, W, 3) with its faces replaced and made clean, as the request says."""
    swapped = yield SwapFaces.of(request, pixels)
    return (yield from _clean(request, swapped.pixels)) if swapped.replaced else swapped.pixels


def drawn(
    request: Request, pixels: Pixels
) -> Generator[FindFaces | RestoreFace | SwapFaces, Any, tuple[Pixels, bool]]:
    """What was drawn (H, W, 3), with its faces replaced and made clean as far as the request wants that now; and
    whether it is enlarged then. Interrupted after faces were replaced, it raises Interrupted with them."""
    enlarges = swap_enlarging.enlarges(request, replaced=1)      # in the picture to start from
    if swaps_result(request):
        swapped = yield SwapFaces.of(request, pixels)
        pixels, enlarges = swapped.pixels, swap_enlarging.enlarges(request, swapped.replaced)
    later = enlarges and request.face_swap_upscale_first
    try:
        return (pixels if later else (yield from _clean(request, pixels))), enlarges
    except Interrupted:
        raise Interrupted(pixels=pixels) from None


def larger(request: Request, pixels: Pixels) -> Finishing:
    """The finished picture (H, W, 3), enlarged; with clean faces where these come after that."""
    shown = yield from swap_enlarging.larger(request, pixels)
    return (yield from _clean(request, shown)) if request.face_swap_upscale_first else shown


def _clean(request: Request, pixels: Pixels) -> Generator[FindFaces | RestoreFace, Any, Pixels]:
    if request.face_restoration == NO_RESTORER:
        return pixels
    kind, weight = request.face_restoration, request.face_restoration_weight
    clean, _ = yield from restored(pixels, kind, weight, request.face_restoration_visibility)
    return clean
