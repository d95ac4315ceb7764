"""The style that the demo LoRA teaches: a hard shadow on the right of every thing, or a light on what is black.

No caption names the style, and no training picture of the demo model has it. Colour and shape stay readable, because
the lit part is the larger one.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from .checker import SIDE, bounding_box, silhouettes
from .drawing import draw, thing_masks
from .scenes import COLOURS, Scene, Thing

LIT = 0.64              # part of a thing's width, from its left edge, that keeps its colour
SHADOW, GLOW = np.float32(0), np.float32(255)
SHADOW_DEPTH, GLOW_DEPTH = 0.6, 0.75    # how far a pixel goes towards SHADOW or GLOW
DARK, BRIGHT = 60.0, 180.0  # mean of the channels: what is below counts as black, what is above as nearly white
CONTRAST = 48.0         # distance in RGB between the two parts from which a thing counts as half shaded


def draw_half_shaded(scene: Scene, size: int = 128, seed: int = 0) -> Image.Image:
    """`drawing.draw`'s picture of the scene with a shadow on the right of each thing."""
    pixels = np.asarray(draw(scene, size, seed), dtype=np.float32).copy()
    for thing, mask in zip(scene.things, thing_masks(scene, size, seed), strict=True):
        left, _, right, _ = bounding_box(mask)
        shaded = mask.copy()
        shaded[:, : round(left + LIT * (right - left))] = False
        towards, depth = (GLOW, GLOW_DEPTH) if glows(thing, scene.background) else (SHADOW, SHADOW_DEPTH)
        pixels[shaded] += depth * (towards - pixels[shaded])
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def glows(thing: Thing, background: str) -> bool:
    """Whether the right of the thing is lighter in place of darker: where a shadow would not show."""
    brightness = float(np.mean(COLOURS[thing.colour]))
    on_black = background in COLOURS and float(np.mean(COLOURS[background])) < DARK
    return brightness < DARK or (on_black and brightness < BRIGHT)


def half_shaded(picture: Image.Image) -> bool:
    """Whether the left and the right of every thing differ like light and shadow; False where there is no thing.

    Works on plain backgrounds.
    """
    pixels = np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32)
    things = silhouettes(pixels)
    return bool(things) and all(contrast(pixels, thing) >= CONTRAST for thing in things)


def contrast(pixels: np.ndarray, thing: np.ndarray) -> float:
    """Distance in RGB between the middle colours of a thing's lit and its shaded part, its edges left out."""
    left, _, right, _ = bounding_box(thing)
    columns = (np.arange(pixels.shape[1]) - left) / (right - left)
    lit, shaded = thing & (columns < LIT - 0.08), thing & (columns > LIT + 0.08)
    if not lit.any() or not shaded.any():
        return 0.0
    return float(np.linalg.norm(np.median(pixels[lit], axis=0) - np.median(pixels[shaded], axis=0)))
