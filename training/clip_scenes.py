"""Scenes that differ in one thing, which a CLIP has to tell apart."""

from __future__ import annotations

import random
from dataclasses import replace

from .scenes import COLOURS, SHAPES, Scene


def exchanged(scene: Scene, rng: random.Random) -> Scene:
    """The scene with another colour or another shape of one thing; an empty one gets another background."""
    if not scene.things:
        return Scene(rng.choice([name for name in COLOURS if name != scene.background]))
    things = list(scene.things)
    slot = rng.randrange(len(things))
    thing = things[slot]
    if rng.random() < 0.5:
        other = replace(thing, colour=rng.choice([c for c in COLOURS if c not in (thing.colour, scene.background)]))
    else:
        other = replace(thing, shape=rng.choice([s for s in SHAPES if s != thing.shape]))
    things[slot] = other
    return replace(scene, things=tuple(things))
