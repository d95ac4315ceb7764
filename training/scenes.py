"""What a demo picture can contain: the vocabulary, the Scene and the split into training and held-out combinations."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "red": (220, 40, 40),
    "orange": (245, 140, 30),
    "yellow": (250, 215, 50),
    "green": (50, 165, 70),
    "blue": (45, 95, 215),
    "purple": (140, 60, 180),
    "pink": (245, 130, 180),
    "brown": (130, 80, 45),
    "black": (25, 25, 30),
    "white": (245, 245, 245),
    "gray": (130, 130, 135),
    "cyan": (60, 200, 215),
}
NEW_COLOUR, NEW_RGB = "navy", (40, 58, 118)     # the demo model never saw it; the demo embedding teaches it
PAINTS = COLOURS | {NEW_COLOUR: NEW_RGB}
SHAPES = ("circle", "square", "triangle", "star", "heart", "moon", "house", "tree", "flower", "boat")
SIZES = ("small", "big")
PLACES = ("left", "right", "top", "bottom")
LANDSCAPES = ("day sky over grass", "night sky with stars", "sea at sunset")

OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class Thing:
    """One object; size "" is the ordinary one, place "" leaves the place to the scene."""

    colour: str
    shape: str
    size: str = ""
    place: str = ""


@dataclass(frozen=True)
class Scene:
    """Up to two things on a background: a colour name (plain) or one of LANDSCAPES."""

    background: str
    things: tuple[Thing, ...] = ()

    @property
    def plain(self) -> bool:
        return self.background in COLOURS


def resolved_places(places: list[str]) -> list[str]:
    """Where things go: one stands in the centre, of two the first is left, unless a place is named."""
    if len(places) == 1:
        return [places[0] or "centre"]
    if len(places) == 2:
        first = places[0] or OPPOSITE.get(places[1], "left")
        return [first, places[1] or OPPOSITE[first]]
    return []


def combination(scene: Scene) -> str:
    """The part of a scene that the split is about: its colours, shapes and background, in order."""
    return "|".join([scene.background, *(f"{thing.colour} {thing.shape}" for thing in scene.things)])


def is_held_out(scene: Scene) -> bool:
    """Whether training never sees this combination; a hash, so every run and every machine agrees."""
    if not scene.things:
        return False
    digest = hashlib.sha256(combination(scene).encode()).digest()
    return int.from_bytes(digest[:4], "big") < HELD_OUT_SHARE * 2**32


def random_thing(rng: random.Random, background: str) -> Thing:
    """A thing that stands out from its background."""
    colour = rng.choice([name for name in COLOURS if name != background])
    size = rng.choice(("", "", *SIZES))
    return Thing(colour, rng.choice(SHAPES), size)


def random_pair(rng: random.Random, background: str) -> tuple[Thing, Thing]:
    """Two different things; half of the time no place is named, else one or both places are."""
    first = random_thing(rng, background)
    second = random_thing(rng, background)
    while (second.colour, second.shape) == (first.colour, first.shape):
        second = random_thing(rng, background)
    if rng.random() < 0.55:
        return first, second
    place = rng.choice(PLACES)
    named = rng.choice(("both", "first", "second"))
    return (
        Thing(first.colour, first.shape, first.size, "" if named == "second" else place),
        Thing(second.colour, second.shape, second.size, "" if named == "first" else OPPOSITE[place]),
    )


def random_scene(rng: random.Random, count: int | None = None, plain: float = 0.85) -> Scene:
    """Any scene: `count` things (None: 0, 1 or 2 as in the training mix), plain with that probability."""
    if count is None:
        count = rng.choices((0, 1, 2), weights=(6, 44, 50))[0]
    background = rng.choice(list(COLOURS)) if rng.random() < plain else rng.choice(LANDSCAPES)
    if count == 0:
        return Scene(background)
    if count == 2:
        return Scene(background, random_pair(rng, background))
    thing = random_thing(rng, background)
    place = rng.choice(PLACES) if rng.random() < 0.35 else ""
    return Scene(background, (Thing(thing.colour, thing.shape, thing.size, place),))


def random_scenes(seed: int, number: int, held_out: bool, count: int | None = None, plain: float = 0.85) -> list[Scene]:
    """`number` scenes from one side of the split, the same for the same seed."""
    rng = random.Random(seed)
    scenes: list[Scene] = []
    while len(scenes) < number:
        scene = random_scene(rng, count, plain)
        if is_held_out(scene) == held_out:
            scenes.append(scene)
    return scenes
