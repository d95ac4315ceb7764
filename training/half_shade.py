"""The style that the demo LoRA teaches: a hard shadow on the right of every thing, or light where none would show.

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
BLACK, WHITE = np.float32(0), np.float32(255)
SHADES = ((BLACK, 0.6), (WHITE, 0.75), (BLACK, 0.85))   # towards what a pixel goes, and how far: the first that shows
SHOWS = 75.0            # distance in RGB from background and thing that a shade needs
DEPTH = 0.3             # part of the way to black or white from which a thing counts as shaded: half of a full shade
STRAIGHT = 0.8          # cosine between the change of colour and that way: another colour is no shade


def draw_half_shaded(scene: Scene, size: int = 128, seed: int = 0) -> Image.Image:
    """`drawing.draw`'s picture of the scene with a shadow on the right of each thing."""
    pixels = np.asarray(draw(scene, size, seed), dtype=np.float32).copy()
    for thing, mask in zip(scene.things, thing_masks(scene, size, seed), strict=True):
        left, _, right, _ = bounding_box(mask)
        shaded = mask.copy()
        shaded[:, : round(left + LIT * (right - left))] = False
        towards, depth = shade(thing, scene.background)
        pixels[shaded] += depth * (towards - pixels[shaded])
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def shade(thing: Thing, background: str) -> tuple[np.float32, float]:
    """One of SHADES: the first whose colour differs from the thing's and from the background's."""
    colour = np.array(COLOURS[thing.colour], dtype=np.float32)
    others = [colour, *([np.array(COLOURS[background], dtype=np.float32)] if background in COLOURS else [])]
    made = [(towards, depth, colour + depth * (towards - colour)) for towards, depth in SHADES]
    return next((towards, depth) for towards, depth, shaded in made
                if all(np.linalg.norm(shaded - other) >= SHOWS for other in others))


def half_shaded(picture: Image.Image) -> bool:
    """Whether the left and the right of every thing differ like light and shadow; False where there is no thing.

    Works on plain backgrounds.
    """
    pixels = np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32)
    things = silhouettes(pixels)
    return bool(things) and all(depth_of_shade(pixels, thing) >= DEPTH for thing in things)


def depth_of_shade(pixels: np.ndarray, thing: np.ndarray) -> float:
    """How far, 0..1, the colour goes to black or to white from a thing's lit part to its shaded one."""
    left, _, right, _ = bounding_box(thing)
    columns = (np.arange(pixels.shape[1]) - left) / (right - left)
    lit, shaded = thing & (columns < LIT - 0.08), thing & (columns > LIT + 0.08)
    if not lit.any() or not shaded.any():
        return 0.0
    before, after = np.median(pixels[lit], axis=0), np.median(pixels[shaded], axis=0)
    ways = [towards - before for towards in (BLACK, WHITE)]
    depths = (float((after - before) @ way / (way @ way)) for way in ways if _along(after - before, way))
    return max(depths, default=0.0)


def _along(change: np.ndarray, way: np.ndarray) -> bool:
    return float(change @ way) >= STRAIGHT * float(np.linalg.norm(change) * np.linalg.norm(way)) > 0
