"""Drawn faces: who somebody is (colours of skin, hair and eyes, and the cut of the hair), and how the head stands.

They are what the demo's face networks know again, and what its FaceID draws. Ten of a hundred people are held back from
every training.
"""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from .drawing import SUPERSAMPLING, Polygon, Pose, disc, draw_polygons, ground, light
from .scenes import COLOURS, HELD_OUT_SHARE, RGB

SKINS = ("pink", "yellow", "brown", "white", "cyan")
HAIRS = ("red", "orange", "yellow", "black", "blue", "purple", "green")
EYES = ("blue", "green", "black", "red", "white")
CUTS = ("short", "long", "curls")
LIPS: RGB = (150, 25, 45)
RADII, LEAN, ASIDE = (0.34, 0.38), 0.06, 0.02       # of heads as parts of the picture, in radians, from the middle
MIDDLE = 0.53                                       # of the picture's height: hair makes room for itself
POSED_RADII, POSED_LEAN = (0.28, 0.37), 0.3         # of heads that stand anywhere
POINTS = np.array([(-0.42, 0.0), (0.42, 0.0), (0, 0.42), (-0.34, 0.62), (0.34, 0.62)], np.float32)
"""Eyes, nose and the corners of the mouth in heads of radius 1, in the order in which insightface has them."""
BOX = (-1.15, -1.3, 1.15, 1.12)                     # left, top, right, bottom of a head with its hair
EYE = 0.32                    # radius; an eye is four of the demo model's latent cells wide


@dataclass(frozen=True)
class Person:
    """Who it is: three names of colours, and one of CUTS."""

    skin: str
    hair: str
    eyes: str
    cut: str

    @property
    def held_out(self) -> bool:
        """Whether no training sees this person; a hash, so every run and every machine agrees."""
        digest = hashlib.sha256("|".join((self.skin, self.hair, self.eyes, self.cut)).encode()).digest()
        return int.from_bytes(digest[:4], "big") < HELD_OUT_SHARE * 2**32


@dataclass(frozen=True)
class Portrait:
    """A person, the head's pose, a name of a background, and the number that strews what is in that."""

    person: Person
    pose: Pose
    background: str
    number: int = 0


def people(held_out: bool) -> list[Person]:
    """All of whom skin, hair and eyes can be told apart."""
    everybody = [Person(skin, hair, eyes, cut) for skin in SKINS for hair in HAIRS for eyes in EYES for cut in CUTS
                 if skin not in (hair, eyes)]
    return [person for person in everybody if person.held_out == held_out]


def portrait(person: Person, rng: random.Random, number: int = 0) -> Portrait:
    """The person near the middle, before any plain background from which skin and hair stand out."""
    radius = rng.uniform(*RADII)
    x, y = (at + rng.uniform(-ASIDE, ASIDE) for at in (0.5, MIDDLE))
    background = rng.choice([name for name in COLOURS if name not in (person.skin, person.hair)])
    return Portrait(person, Pose(x, y, radius, rng.uniform(-LEAN, LEAN)), background, number)


def posed(person: Person, rng: random.Random, number: int = 0) -> Portrait:
    """The person anywhere in the picture, leaning as far as the finder of faces knows it."""
    radius = rng.uniform(*POSED_RADII)
    x, y = rng.uniform(radius, 1 - radius), rng.uniform(1.15 * radius, 1 - radius)
    usual = portrait(person, rng, number)
    return replace(usual, pose=Pose(x, y, radius, rng.uniform(-POSED_LEAN, POSED_LEAN)))


def draw_face(portrait: Portrait, size: int = 128) -> Image.Image:
    """An RGB picture of `size` x `size` pixels."""
    person, pose = portrait.person, portrait.pose
    canvas = ground(portrait.background, size * SUPERSAMPLING, random.Random(portrait.number))
    skin, hair, eyes = (COLOURS[name] for name in (person.skin, person.hair, person.eyes))
    for polygons, fill in [
        (hair_behind(person.cut), hair), ([disc(0, 0, 1)], skin), (hair_before(person.cut), hair),
        ([disc(x, y, EYE) for x, y in POINTS[:2]], eyes), ([mouth()], LIPS),
    ]:
        draw_polygons(canvas, polygons, fill, pose)
    pixels = np.asarray(canvas.reduce(SUPERSAMPLING), dtype=np.float32) * light(size)
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def hair_behind(cut: str) -> list[Polygon]:
    if cut != "long":
        return []
    return [[(-1.15, -0.2), (1.15, -0.2), (1.15, 1.1), (-1.15, 1.1)]]


def hair_before(cut: str) -> list[Polygon]:
    if cut == "curls":
        return [disc(math.sin(angle) * 0.98, -math.cos(angle) * 0.98, 0.32) for angle in (-1.2, -0.6, 0.0, 0.6, 1.2)]
    low = 0.36 if cut == "short" else 0.1
    arc = [(1.12 * math.cos(angle), -1.12 * math.sin(angle))
           for angle in np.linspace(low, math.pi - low, 30)]
    return [[*arc, (-0.8, -0.4), (0.8, -0.4)]]


def mouth() -> Polygon:
    left, right = POINTS[3:]
    arc = [(float(left[0]) * math.cos(angle), float(left[1]) + 0.2 * math.sin(angle))
           for angle in np.linspace(0, math.pi, 12)]
    return [*arc, (float(right[0]), float(right[1]))]


def key_points(pose: Pose) -> np.ndarray:
    """float32 [5, 2] as parts of the picture: POINTS of a head in this pose."""
    cos, sin = math.cos(pose.tilt), math.sin(pose.tilt)
    turned = POINTS @ np.array([[cos, sin], [-sin, cos]], np.float32)
    return turned * pose.radius + np.array([pose.x, pose.y], np.float32)


def box(pose: Pose) -> np.ndarray:
    """float32 [4] as parts of the picture: BOX of a head in this pose, as if it did not lean."""
    return np.array(BOX, np.float32) * pose.radius + np.array([pose.x, pose.y] * 2, np.float32)
