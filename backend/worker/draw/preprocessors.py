"""What preprocessors of guides make of a picture, those that need no weights.

The formulas and usual values are those of sd-webui-controlnet. Each takes pixels (H, W, 3), a resolution for the
shorter side and two thresholds, and gives pixels (h, w, 3).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from backend.request.guide_modules import NO_MODULE, PICTURE_PROMPT, STYLE
from backend.worker.pixels import Pixels

Preprocessor = Callable[[Pixels, int, float, float], Pixels]
GRID = 64           # pixels of a cell of the colour grid
WAVE = 256          # pixels of a bend of shuffled pictures


def _none(pixels: Pixels, resolution: int, a: float, b: float) -> Pixels:
    return pixels


def _canny(pixels: Pixels, resolution: int, low: float, high: float) -> Pixels:
    import cv2

    return grey_picture(cv2.Canny(shorter(pixels, resolution), low, high))


def _invert(pixels: Pixels, resolution: int, a: float, b: float) -> Pixels:
    return 255 - shorter(pixels, resolution)


def _blur(pixels: Pixels, resolution: int, width: float, b: float) -> Pixels:
    import cv2

    return cv2.GaussianBlur(shorter(pixels, resolution), (0, 0), max(width, 0.01))


def _tile(pixels: Pixels, resolution: int, smaller: float, b: float) -> Pixels:
    height, width = (max(int(side / max(smaller, 1)), 1) for side in pixels.shape[:2])
    return resized(pixels, height, width)


def _threshold(pixels: Pixels, resolution: int, level: float, b: float) -> Pixels:
    grey = np.asarray(Image.fromarray(shorter(pixels, resolution)).convert("L"))
    return grey_picture(np.where(grey > level, 255, 0).astype(np.uint8))


def _line_art(pixels: Pixels, resolution: int, a: float, b: float) -> Pixels:
    """What is darker than its surroundings, brightened so that the middle line is half white."""
    import cv2

    levels = shorter(pixels, resolution).astype(np.float32)
    darker = (cv2.GaussianBlur(levels, (0, 0), 6.0) - levels).min(axis=2).clip(0, 255)
    lines = darker[darker > 8]
    scale = max(16.0, float(np.median(lines)) if lines.size else 0.0)
    return grey_picture((darker / scale * 127).clip(0, 255).astype(np.uint8))


def _difference_of_gaussians(pixels: Pixels, resolution: int, threshold: float, b: float) -> Pixels:
    """XDoG (Winnemöller et al. 2012) with two levels."""
    import cv2

    levels = shorter(pixels, resolution).astype(np.float32)
    fine, coarse = (cv2.GaussianBlur(levels, (0, 0), width) for width in (0.5, 5.0))
    dark = 255 - (255 - (coarse - fine).min(axis=2)).clip(0, 255).astype(np.uint8).astype(np.int32)
    return grey_picture(np.where(2 * dark > threshold, 255, 0).astype(np.uint8))


def _luminance(pixels: Pixels, resolution: int, gamma: float, b: float) -> Pixels:
    import cv2

    return _bent(cv2.cvtColor(shorter(pixels, resolution), cv2.COLOR_RGB2LAB)[..., 0], gamma)


def _intensity(pixels: Pixels, resolution: int, gamma: float, b: float) -> Pixels:
    import cv2

    return _bent(cv2.cvtColor(shorter(pixels, resolution), cv2.COLOR_RGB2HSV)[..., 2], gamma)


def _bent(levels: Pixels, gamma: float) -> Pixels:
    return grey_picture(((levels / 255.0) ** gamma * 255).clip(0, 255).astype(np.uint8))


def _shuffle(pixels: Pixels, resolution: int, a: float, b: float) -> Pixels:
    """Every pixel from elsewhere, by two smooth random maps; the same for the same picture."""
    import cv2

    picture = shorter(pixels, resolution)
    height, width = picture.shape[:2]
    rng = np.random.default_rng(int.from_bytes(hashlib.blake2b(picture.tobytes(), digest_size=8).digest()))
    columns, rows = (_smooth(rng, height, width) * (side - 1) for side in (width, height))
    return cv2.remap(picture, columns, rows, cv2.INTER_LINEAR)


def _smooth(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(height, width), float32 in 0..1."""
    import cv2

    coarse = rng.uniform(0, 1, (height // WAVE + 2, width // WAVE + 2)).astype(np.float32)
    waves = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    waves -= waves.min()
    return waves / max(float(waves.max()), 1e-6)


def _colour_grid(pixels: Pixels, resolution: int, a: float, b: float) -> Pixels:
    import cv2

    picture = shorter(pixels, resolution)
    height, width = picture.shape[:2]
    cells = cv2.resize(picture, (max(width // GRID, 1), max(height // GRID, 1)), interpolation=cv2.INTER_CUBIC)
    return cv2.resize(cells, (width, height), interpolation=cv2.INTER_NEAREST)


PREPROCESSORS: Mapping[str, Preprocessor] = {
    NO_MODULE: _none, "canny": _canny, "invert": _invert, "blur_gaussian": _blur, "tile_resample": _tile,
    "threshold": _threshold, "lineart_standard": _line_art, "scribble_xdog": _difference_of_gaussians,
    "recolor_luminance": _luminance, "recolor_intensity": _intensity, "shuffle": _shuffle,
    "t2ia_color_grid": _colour_grid, "inpaint_only": _none, PICTURE_PROMPT: _none,
    STYLE: _none,
}


def shorter(pixels: Pixels, resolution: int) -> Pixels:
    """With a shorter side of `resolution` pixels."""
    scale = resolution / min(pixels.shape[:2])
    return resized(pixels, *(max(round(side * scale), 1) for side in pixels.shape[:2]))


def resized(pixels: Pixels, height: int, width: int) -> Pixels:
    """At this size, without noise where it shrinks."""
    import cv2

    if pixels.shape[:2] == (height, width):
        return np.ascontiguousarray(pixels)
    grows = height > pixels.shape[0]
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA)


def grey_picture(levels: Pixels) -> Pixels:
    """(H, W) to (H, W, 3)."""
    return np.repeat(levels[..., None], 3, axis=2)
