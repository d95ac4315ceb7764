"""What the demo embedding teaches: a colour that the demo model has no word for. Scenes with it, how they are read."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from PIL import Image

from .checker import SIDE, shape_of, silhouettes
from .scenes import NEW_COLOUR, PAINTS, Scene, random_scenes

NAMES = tuple(PAINTS)
VALUES = np.array([PAINTS[name] for name in NAMES], dtype=np.float32)


def new_coloured(seed: int, number: int, held_out: bool) -> list[Scene]:
    """Scenes of one or two things of which the first has the new colour."""
    rng = random.Random(seed)
    scenes = []
    for scene in random_scenes(seed, number, held_out, count=1 if rng.random() < 0.7 else 2, plain=1.0):
        first, *others = scene.things
        background = rng.choice([name for name in ("white", "yellow", "orange", "red", "green", "pink", "cyan", "gray")
                                 if name not in {other.colour for other in others}])
        scenes.append(replace(scene, background=background, things=(replace(first, colour=NEW_COLOUR), *others)))
    return scenes


def colour_of(pixels: np.ndarray) -> str:
    """The colour, the new one among them, to which most of the pixels [N, 3] are nearest."""
    distances = np.linalg.norm(pixels[:, None, :].astype(np.float32) - VALUES, axis=-1)
    return NAMES[np.bincount(distances.argmin(axis=-1), minlength=len(NAMES)).argmax()]


def seen(picture: Image.Image) -> list[tuple[str, str]]:
    """Colour and shape of each thing on a plain background, the largest first."""
    pixels = np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))
    return [(colour_of(pixels[thing]), shape_of(thing)) for thing in silhouettes(pixels)]
