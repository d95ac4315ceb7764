"""Drawn pictures and their outlines: what teaches the demo ControlNet, and what measures it.

Things stand, lean and are of sizes as no caption says, so that only the outline can tell.
"""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from PIL import Image

from backend.request.guide_unit import GUIDE_UNIT
from backend.worker.draw.guide_hint import Annotate

from .data import PICTURE
from .drawing import UPRIGHT, Pose, draw
from .scenes import Scene, Thing, random_scenes, resolved_places

RESOLUTIONS = (PICTURE, 512)        # at which outlines are found: "pixel perfect", and a unit's usual one
SINGLE, PAIR = (0.14, 0.36), (0.11, 0.2)
LEAN, UPRIGHT_LEAN = 0.5, 0.15      # radians
MARGIN = 0.03
ASIDE = 0.06                        # from where one of two usually stands
UNIT = {name: field.default for name, field in GUIDE_UNIT.items()} | {"module": "canny"}


def anywhere(things: tuple[Thing, ...], rng: random.Random) -> list[Pose]:
    """One thing lies anywhere in the picture, two near where they usually stand."""
    smallest, largest = SINGLE if len(things) == 1 else PAIR
    usual = {"left": (0.25, 0.5), "right": (0.75, 0.5), "top": (0.5, 0.25), "bottom": (0.5, 0.75)}
    found = []
    for thing, place in zip(things, resolved_places([thing.place for thing in things]), strict=True):
        radius = rng.uniform(smallest, largest)
        low, high = radius + MARGIN, 1 - radius - MARGIN
        x, y = (rng.uniform(low, high) for _ in range(2))
        if len(things) == 2:
            x, y = (min(max(at + rng.uniform(-ASIDE, ASIDE), low), high) for at in usual[place])
        lean = UPRIGHT_LEAN if thing.shape in UPRIGHT else LEAN
        found.append(Pose(x, y, radius, rng.uniform(-lean, lean)))
    return found


def outline_scenes(seed: int, number: int, held_out: bool, count: int | None = None) -> list[Scene]:
    """Scenes that say neither sizes nor places."""
    return [Scene(scene.background, tuple(replace(thing, size="", place="") for thing in scene.things))
            for scene in random_scenes(seed, number, held_out, count)]


def painted(scene: Scene, size: int, number: int) -> Image.Image:
    return draw(scene, size, number, anywhere)


def outline(picture: np.ndarray, resolution: int) -> np.ndarray:
    """Canny's edges [H, W], 0 or 255, of uint8 [H, W, 3], as Easel's preprocessor makes them."""
    unit = UNIT | {"processor_res": resolution}
    return Annotate(unit, picture, picture.shape[:2]).made({})[..., 0]
