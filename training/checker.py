"""What a picture shows, by measurement alone: its background's colour, and each object's colour, shape and place.

Works on plain backgrounds. Needs numpy, scipy and Pillow, no network.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from PIL import Image
from scipy import ndimage

from .drawing import Pose, thing_mask
from .scenes import COLOURS, SHAPES, Scene, Thing, resolved_places

SIDE = 128  # pixels: every picture is read at this size
BORDER = 5  # pixels: no object is drawn so near the edge
CONTRAST = 38.0  # distance in RGB from which a pixel does not belong to the background
SMALLEST = 0.008  # part of the picture that an object covers at least
GRID = 40  # silhouettes are compared on GRID x GRID cells
NAMES = tuple(COLOURS)
PALETTE = np.array([COLOURS[name] for name in NAMES], dtype=np.float32)


@dataclass(frozen=True)
class Seen:
    """One object: `x`, `y` its bounding box's centre and `radius` half its longer side, as parts of the picture."""

    colour: str
    shape: str
    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Sight:
    """A whole picture, the objects by size, the largest first."""

    background: str
    objects: tuple[Seen, ...]


def nearest_colours(pixels: np.ndarray) -> np.ndarray:
    """RGB values [..., 3] to indices into NAMES."""
    distances = np.linalg.norm(pixels[..., None, :].astype(np.float32) - PALETTE, axis=-1)
    return distances.argmin(axis=-1)


def majority_colour(pixels: np.ndarray) -> str:
    """The vocabulary colour to which most of the pixels [N, 3] are nearest."""
    return NAMES[np.bincount(nearest_colours(pixels), minlength=len(NAMES)).argmax()]


def border_pixels(pixels: np.ndarray) -> np.ndarray:
    """The pixels [N, 3] of a frame BORDER wide."""
    inside = np.zeros(pixels.shape[:2], dtype=bool)
    inside[BORDER:-BORDER, BORDER:-BORDER] = True
    return pixels[~inside]


def silhouettes(pixels: np.ndarray) -> list[np.ndarray]:
    """Masks [SIDE, SIDE] of the connected things that differ from the background, the largest first."""
    ground = np.median(border_pixels(pixels), axis=0)
    differs = np.linalg.norm(pixels.astype(np.float32) - ground, axis=-1) > CONTRAST
    differs = ndimage.binary_opening(ndimage.median_filter(differs, 3))
    labels, count = ndimage.label(differs, structure=np.ones((3, 3)))
    masks = [ndimage.binary_fill_holes(labels == number) for number in range(1, count + 1)]
    masks = [mask for mask in masks if mask.mean() >= SMALLEST]
    return sorted(masks, key=lambda mask: -mask.sum())


def bounding_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom, the last two outside."""
    ys, xs = np.nonzero(mask)
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


def normalised(mask: np.ndarray) -> np.ndarray:
    """The silhouette [GRID, GRID] in 0..1, centred by its bounding box, its longer side filling the grid."""
    left, top, right, bottom = bounding_box(mask)
    side = max(right - left, bottom - top)
    square = np.zeros((side, side), dtype=np.uint8)
    y, x = (side - (bottom - top)) // 2, (side - (right - left)) // 2
    square[y : y + bottom - top, x : x + right - left] = mask[top:bottom, left:right] * 255
    resized = Image.fromarray(square).resize((GRID, GRID), Image.Resampling.BOX)
    return np.asarray(resized, dtype=np.float32) / 255


@cache
def templates() -> tuple[list[str], np.ndarray]:
    """Drawn silhouettes [T, GRID, GRID] and their shapes: several sizes and tilts, with sharp and with rounded corners.

    A small star that went through an 8 times smaller latent has blunt points and is still a star; a tree on a brown
    background is its crown.
    """
    names, masks = [], []
    drawings = [*((shape, True) for shape in SHAPES), ("tree", False)]
    for (shape, wood), tilt, radius, blur in product(drawings, (-0.12, 0.0, 0.12), (0.11, 0.14, 0.2, 0.33), (0, 3)):
        drawn = np.asarray(thing_mask(Thing("red", shape), Pose(0.5, 0.5, radius, tilt), SIDE, wood)) > 0
        grown = ndimage.binary_fill_holes(ndimage.binary_dilation(drawn))
        rounded = ndimage.gaussian_filter(grown.astype(np.float32), blur) > 0.5
        names.append(shape)
        masks.append(normalised(rounded))
    return names, np.stack(masks)


def shape_of(mask: np.ndarray) -> str:
    """The shape of the template with the largest intersection over union."""
    own = normalised(mask)
    names, masks = templates()
    overlaps = np.minimum(masks, own).sum((1, 2)) / np.maximum(masks, own).sum((1, 2))
    return names[overlaps.argmax()]


def seen(pixels: np.ndarray, mask: np.ndarray) -> Seen:
    left, top, right, bottom = bounding_box(mask)
    x, y = (left + right) / 2 / SIDE, (top + bottom) / 2 / SIDE
    radius = max(right - left, bottom - top) / 2 / SIDE
    return Seen(majority_colour(pixels[mask]), shape_of(mask), x, y, radius)


def look(picture: Image.Image | np.ndarray) -> Sight:
    """Reads an RGB picture of any size."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    if image.size != (SIDE, SIDE):
        image = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    pixels = np.asarray(image.convert("RGB"))
    return Sight(majority_colour(border_pixels(pixels)), tuple(seen(pixels, mask) for mask in silhouettes(pixels)))


PLACE_CENTRES = {
    "centre": (0.5, 0.5),
    "left": (0.3, 0.5),
    "right": (0.7, 0.5),
    "top": (0.5, 0.3),
    "bottom": (0.5, 0.7),
}


@dataclass(frozen=True)
class Verdict:
    """A picture against its caption; `colours` and `shapes` have one entry per thing that was asked for."""

    background: bool
    colours: tuple[bool, ...]
    shapes: tuple[bool, ...]
    places: tuple[bool, ...]
    extra_objects: int

    @property
    def things_right(self) -> bool:
        return all(self.colours) and all(self.shapes)


def judge(picture: Image.Image | np.ndarray, scene: Scene) -> Verdict:
    """Compares what is seen with what was asked; each thing is looked for where it should stand."""
    sight = look(picture)
    found = assign(sight.objects[: len(scene.things)], scene)
    pairs = list(zip(scene.things, found, strict=True))
    wanted = resolved_places([thing.place for thing in scene.things])
    return Verdict(
        background=sight.background == scene.background,
        colours=tuple(one is not None and one.colour == thing.colour for thing, one in pairs),
        shapes=tuple(one is not None and one.shape == thing.shape for thing, one in pairs),
        places=tuple(one is not None and place_of(one) == place for one, place in zip(found, wanted, strict=True)),
        extra_objects=max(0, len(sight.objects) - len(scene.things)),
    )


def distance(one: Seen, place: str) -> float:
    x, y = PLACE_CENTRES[place]
    return (one.x - x) ** 2 + (one.y - y) ** 2


def place_of(one: Seen) -> str:
    return min(PLACE_CENTRES, key=lambda place: distance(one, place))


def assign(objects: tuple[Seen, ...], scene: Scene) -> list[Seen | None]:
    """For each thing the object that stands where it should; a pair is taken in the order that fits better."""
    places = resolved_places([thing.place for thing in scene.things])
    padded = [*objects, *[None] * (len(places) - len(objects))]
    if len(places) < 2 or not objects:
        return padded
    straight = sum(distance(one, place) for one, place in zip(padded, places, strict=True) if one)
    crossed = sum(distance(one, place) for one, place in zip(padded, places[::-1], strict=True) if one)
    return padded if straight <= crossed else padded[::-1]
