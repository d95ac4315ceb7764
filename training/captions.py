"""What a scene is called: sentences and tags, in many wordings."""

from __future__ import annotations

import random

from .scenes import Scene, Thing

PLACE_WORDS = {
    "left": ("on the left", "at the left", "to the left"),
    "right": ("on the right", "at the right", "to the right"),
    "top": ("at the top", "on top", "on the top"),
    "bottom": ("at the bottom", "on the bottom"),
}
LANDSCAPE_WORDS = {
    "day sky over grass": "under a day sky over grass",
    "night sky with stars": "in a night sky with stars",
    "sea at sunset": "over a sea at sunset",
}
OPENINGS = ("", "", "", "", "a picture of ", "an image of ", "a drawing of ")
JOINTS = (" and ", " and ", " and ", " with ", ", ")


def caption(scene: Scene, rng: random.Random) -> str:
    """One wording: a sentence ("a small red circle on a blue background") or tags ("red circle, blue background")."""
    return sentence(scene, rng) if rng.random() < 0.55 else tags(scene, rng)


def sentence(scene: Scene, rng: random.Random) -> str:
    things = [f"{with_article(words(thing))}{place(thing, rng)}" for thing in scene.things]
    if not things:
        return rng.choice(OPENINGS) + empty(scene, rng)
    joined = rng.choice(JOINTS).join(things)
    return f"{rng.choice(OPENINGS)}{joined} {behind(scene, rng)}"


def tags(scene: Scene, rng: random.Random) -> str:
    parts = [tag(thing, rng) for thing in scene.things]
    ground = f"{scene.background} background" if scene.plain else scene.background
    parts.insert(0 if rng.random() < 0.1 else len(parts), ground)
    return ", ".join(parts)


def tag(thing: Thing, rng: random.Random) -> str:
    return f"{words(thing)} {rng.choice(('', 'on the '))}{thing.place}" if thing.place else words(thing)


def words(thing: Thing) -> str:
    return " ".join(word for word in (thing.size, thing.colour, thing.shape) if word)


def with_article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def place(thing: Thing, rng: random.Random) -> str:
    return f" {rng.choice(PLACE_WORDS[thing.place])}" if thing.place else ""


def behind(scene: Scene, rng: random.Random) -> str:
    """What a sentence says of the background."""
    if not scene.plain:
        return LANDSCAPE_WORDS[scene.background] if rng.random() < 0.5 else f"with {scene.background}"
    ground = with_article(f"{scene.background} background")
    return rng.choice((f"on {ground}", f"on {ground}", f"on {scene.background}", f"against {ground}"))


def empty(scene: Scene, rng: random.Random) -> str:
    """A background with nothing on it."""
    if not scene.plain:
        return rng.choice((scene.background, f"a {scene.background}"))
    colour = scene.background
    return rng.choice((f"a plain {colour} background", f"{colour} background", f"plain {colour}"))
