"""What a ControlNet is shown: a picture, or the part of it that is drawn, as a preprocessor makes it, at its size.

What each preprocessor does stands in `preprocessors`.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from backend.request.choices import RESIZE_MODES as PIXEL_MODES
from backend.request.guide_modules import MODULES
from backend.request.guide_unit import RESIZE_MODES
from backend.worker.draw.paste_back import LANCZOS, Box, fitted
from backend.worker.draw.preprocessors import PREPROCESSORS, Preprocessor, grey_picture
from backend.worker.pixels import Pixels
from backend.worker.pixels.opaque import opaque

FILL = "Resize and fill"
MOST_PIXELS = 2048 * 2048 * 4       # that a preprocessor works on: the largest resolution, of pictures up to 4 : 1
MOST_SIDE = 32_000                  # pixels of its longer side, which OpenCV counts in 16 bits
_MODES = dict(zip(RESIZE_MODES, PIXEL_MODES, strict=False))      # a unit's words -> those of `fitted`


@dataclass(frozen=True, slots=True)
class Part:
    """Only the `box` of a picture that would be `size` (width, height) is drawn."""

    size: tuple[int, int]
    box: Box


@dataclass(frozen=True, slots=True, eq=False)
class Annotate:
    """Make the hint of `unit`, number `number` of the request, from a picture: an id of the job's, or pixels (h, w, 3).

    Answered by pixels of `size` (height, width). Pixels are what is drawn already; of a picture it may be a `part`.
    """

    unit: Mapping[str, Any]
    picture: str | Pixels
    size: tuple[int, int]
    part: Part | None = None
    number: int = 0

    @property
    def key(self) -> Hashable:
        """Equal ones are answered by equal pixels."""
        settings = tuple(self.unit[name] for name in ("module", "resize_mode", "pixel_perfect", "processor_res",
                                                      "threshold_a", "threshold_b", "face_order", "face_index"))
        return key_of(self.picture), settings, self.size, self.part

    def made(self, files: Mapping[str, bytes], trained: Preprocessor | None = None) -> Pixels:
        """The answer; `files` are the job's pictures by id, `trained` the preprocessor where it needs weights."""
        module = MODULES[self.unit["module"]]
        preprocess = trained or PREPROCESSORS[module.name]
        made = preprocess(*self.seen(files), *module.levels(self.unit))
        return _at_size(made, self.size, _MODES[self.unit["resize_mode"]])

    def _looked_at(self, files: Mapping[str, bytes], mode: str) -> Pixels:
        pixels = opened(self.picture, files)
        if not self.part or not isinstance(self.picture, str):
            return pixels
        part = fitted(Image.fromarray(pixels), *self.part.size, mode).crop(self.part.box)
        return np.asarray(fitted(part, self.size[1], self.size[0], FILL))

    def seen(self, files: Mapping[str, bytes]) -> tuple[Pixels, int]:
        """What the preprocessor looks at, and at which resolution."""
        mode = _MODES[self.unit["resize_mode"]]
        pixels = self._looked_at(files, mode)
        perfect = self.unit["pixel_perfect"]
        asked = self._resolution(pixels, mode) if perfect else self.unit["processor_res"]
        return pixels, min(asked, _largest(pixels, max(MOST_PIXELS, math.prod(self.size))))

    def _resolution(self, pixels: Pixels, mode: str) -> int:
        """The shorter side at which what is made needs no resizing any more."""
        height, width = pixels.shape[:2]
        scales = self.size[0] / height, self.size[1] / width
        return round((min(scales) if mode == FILL else max(scales)) * min(height, width))


def _largest(pixels: Pixels, most: int) -> int:
    """The resolution at which a picture has `most` pixels: a narrow stripe would fill the memory at the usual one."""
    short, long = sorted(pixels.shape[:2])
    return max(min(math.isqrt(most * short // long), MOST_SIDE * short // long), 1)


def opened(picture: str | Pixels, files: Mapping[str, bytes]) -> Pixels:
    """Pixels (H, W, 3) of a picture by its id, or those that there are."""
    return np.asarray(opaque(Image.open(io.BytesIO(files[picture])))) if isinstance(picture, str) else picture


def key_of(picture: str | Pixels) -> Hashable:
    """Equal pictures have equal ones."""
    return picture if isinstance(picture, str) else hashlib.blake2b(picture.tobytes()).digest()


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
    return grey_picture(cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1])
