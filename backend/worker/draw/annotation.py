"""What a ControlNet is shown: a picture, or the part of it that is drawn, as a preprocessor makes it, at its size.

The preprocessors are those of sd-webui-controlnet that need no weights, with its resolutions and usual values.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from backend.request.choices import RESIZE_MODES as PIXEL_MODES
from backend.request.guide_unit import KEY_POINTS, PICTURE_PROMPT, RESIZE_MODES
from backend.worker.draw.paste_back import LANCZOS, Box, fitted
from backend.worker.pixels import Pixels

FILL = "Resize and fill"
_MODES = dict(zip(RESIZE_MODES, PIXEL_MODES, strict=False))      # a unit's words -> those of `fitted`
_USUAL = {"canny": (100, 200), "blur_gaussian": (9, 0), "tile_resample": (1, 0), "threshold": (127, 0)}


@dataclass(frozen=True, slots=True)
class Part:
    """Only the `box` of a picture that would be `size` (width, height) is drawn."""

    size: tuple[int, int]
    box: Box


@dataclass(frozen=True, slots=True, eq=False)
class Annotate:
    """Make the hint of `unit`, a record of the request, from a picture: an id of the job's, or pixels (h, w, 3).

    Answered by pixels of `size` (height, width). Pixels are what is drawn already; of a picture it may be a `part`.
    """

    unit: Mapping[str, Any]
    picture: str | Pixels
    size: tuple[int, int]
    part: Part | None = None

    @property
    def key(self) -> Hashable:
        """Equal ones are answered by equal pixels."""
        settings = tuple(self.unit[name] for name in
                         ("module", "resize_mode", "pixel_perfect", "processor_res", "threshold_a", "threshold_b"))
        return key_of(self.picture), settings, self.size, self.part

    def made(self, files: Mapping[str, bytes]) -> Pixels:
        """The answer; `files` are the job's pictures by id."""
        mode = _MODES[self.unit["resize_mode"]]
        looked_at = self._looked_at(files, mode)
        resolution = self._resolution(looked_at, mode) if self.unit["pixel_perfect"] else self.unit["processor_res"]
        usual = _USUAL.get(self.unit["module"], (0, 0))
        levels = [wanted if wanted >= 0 else level for wanted, level in
                  zip((self.unit["threshold_a"], self.unit["threshold_b"]), usual, strict=True)]
        return _at_size(_PREPROCESSORS[self.unit["module"]](looked_at, resolution, *levels), self.size, mode)

    def _looked_at(self, files: Mapping[str, bytes], mode: str) -> Pixels:
        pixels = opened(self.picture, files)
        if not self.part or not isinstance(self.picture, str):
            return pixels
        part = fitted(Image.fromarray(pixels), *self.part.size, mode).crop(self.part.box)
        return np.asarray(fitted(part, self.size[1], self.size[0], FILL))

    def _resolution(self, pixels: Pixels, mode: str) -> int:
        """The shorter side at which what is made needs no resizing any more."""
        height, width = pixels.shape[:2]
        scales = self.size[0] / height, self.size[1] / width
        return round((min(scales) if mode == FILL else max(scales)) * min(height, width))


def opened(picture: str | Pixels, files: Mapping[str, bytes]) -> Pixels:
    """Pixels (H, W, 3) of a picture by its id, or those that there are."""
    return np.asarray(opaque(Image.open(io.BytesIO(files[picture])))) if isinstance(picture, str) else picture


def key_of(picture: str | Pixels) -> Hashable:
    """Equal pictures have equal ones."""
    return picture if isinstance(picture, str) else hashlib.blake2b(picture.tobytes()).digest()


def opaque(picture: Image.Image) -> Image.Image:
    """RGB; what is see-through lies on white."""
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def _at_size(pixels: Pixels, size: tuple[int, int], mode: str) -> Pixels:
    """Lines in two colours stay so; what a picture does not fill has the middle colour of its border."""
    height, width = size
    if pixels.shape[:2] == size:
        return pixels
    picture = Image.fromarray(pixels)
    made = _filled(picture, width, height) if mode == FILL else np.asarray(fitted(picture, width, height, mode))
    return _two_colours(made) if not ((pixels > 0) & (pixels < 255)).any() else made


def _filled(picture: Image.Image, width: int, height: int) -> Pixels:
    pixels = np.asarray(picture)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    scale = min(width / picture.width, height / picture.height)
    size = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
    made = Image.new("RGB", (width, height), tuple(int(level) for level in np.median(border, axis=0)))
    made.paste(picture.resize(size, LANCZOS), ((width - size[0]) // 2, (height - size[1]) // 2))
    return np.asarray(made)


def _two_colours(pixels: Pixels) -> Pixels:
    """By Otsu's threshold, so that thin lines survive a smaller size."""
    import cv2

    grey = np.ascontiguousarray(pixels.max(axis=2))
    return _grey(cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1])


def _none(pixels: Pixels, resolution: int, a: float, b: float) -> Pixels:
    return pixels


def _canny(pixels: Pixels, resolution: int, low: float, high: float) -> Pixels:
    import cv2

    return _grey(cv2.Canny(_shorter(pixels, resolution), low, high))


def _invert(pixels: Pixels, resolution: int, a: float, b: float) -> Pixels:
    return 255 - _shorter(pixels, resolution)


def _blur(pixels: Pixels, resolution: int, width: float, b: float) -> Pixels:
    import cv2

    return cv2.GaussianBlur(_shorter(pixels, resolution), (0, 0), max(width, 0.01))


def _tile(pixels: Pixels, resolution: int, smaller: float, b: float) -> Pixels:
    height, width = (max(int(side / max(smaller, 1)), 1) for side in pixels.shape[:2])
    return _resized(pixels, height, width)


def _threshold(pixels: Pixels, resolution: int, level: float, b: float) -> Pixels:
    grey = np.asarray(Image.fromarray(_shorter(pixels, resolution)).convert("L"))
    return _grey(np.where(grey > level, 255, 0).astype(np.uint8))


_PREPROCESSORS: Mapping[str, Callable[[Pixels, int, float, float], Pixels]] = {
    "none": _none, "canny": _canny, "invert": _invert, "blur_gaussian": _blur, "tile_resample": _tile,
    "threshold": _threshold, PICTURE_PROMPT: _none, KEY_POINTS: _none,
}


def _shorter(pixels: Pixels, resolution: int) -> Pixels:
    """With a shorter side of `resolution` pixels."""
    scale = resolution / min(pixels.shape[:2])
    return _resized(pixels, *(max(round(side * scale), 1) for side in pixels.shape[:2]))


def _resized(pixels: Pixels, height: int, width: int) -> Pixels:
    import cv2

    if pixels.shape[:2] == (height, width):
        return np.ascontiguousarray(pixels)
    grows = height > pixels.shape[0]
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA)


def _grey(levels: Pixels) -> Pixels:
    """(H, W) to (H, W, 3)."""
    return np.repeat(levels[..., None], 3, axis=2)
