"""A picture enlarged after its faces were replaced, as the request says of the swap."""

from __future__ import annotations

from PIL import Image

from backend.request.choices import NO_UPSCALER
from backend.request.face_swap import swapped_size, swaps
from backend.request.request import Request
from backend.worker.pixels import Pixels
from backend.worker.pixels.face_restoration import mixed
from backend.worker.pixels.upscaling import Enlarging, enlarged, resized


def enlarges(request: Request, replaced: int) -> bool:
    """Whether it does so where that many faces were replaced."""
    wanted = swaps(request) and request.face_swap_upscaler != NO_UPSCALER
    return wanted and (replaced > 0 or request.face_swap_upscale_always)


def larger(request: Request, pixels: Pixels) -> Enlarging:
    """The picture (H, W, 3), enlarged."""
    size = swapped_size(request, (pixels.shape[1], pixels.shape[0]))
    made = yield from enlarged(pixels, request.face_swap_upscaler, *size)
    return mixed(resized(pixels, size, Image.Resampling.LANCZOS), made, request.face_swap_upscaler_visibility)
