"""Scenes to pictures: flat shapes with a darker outline and a soft light, drawn at three times the size and reduced."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from .scenes import COLOURS, PAINTS, RGB, Scene, Thing, resolved_places

SUPERSAMPLING = 3
OUTLINE = 0.013  # visible width of the outline, as a part of the picture's side
WOOD: RGB = (95, 58, 32)  # trunks and masts: apart from the vocabulary's brown, so they show on a brown background

Point = tuple[float, float]
Polygon = list[Point]


@dataclass(frozen=True)
class Part:
    """Polygons with one fill, joined into one outline; `shade` scales the asked colour, `paint` replaces it."""

    polygons: list[Polygon]
    shade: float = 1.0
    paint: str = ""


def disc(x: float, y: float, radius: float, points: int = 48) -> Polygon:
    angles = (2 * math.pi * i / points for i in range(points))
    return [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles]


def box(left: float, top: float, right: float, bottom: float) -> Polygon:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def star_polygon() -> Polygon:
    radii = (1.06, 0.46)
    return [
        (radii[i % 2] * math.sin(math.pi * i / 5), 0.06 - radii[i % 2] * math.cos(math.pi * i / 5)) for i in range(10)
    ]


def heart_polygon() -> Polygon:
    polygon = []
    for i in range(64):
        t = 2 * math.pi * i / 64
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        polygon.append((math.sin(t) ** 3, -0.08 - y / 16.5))
    return polygon


def moon_polygon() -> Polygon:
    """A crescent, open to the right: a unit disc without a disc whose centre lies `d` to the right."""
    d, inner = 0.52, 0.80
    x = (1 - inner**2 + d**2) / (2 * d)
    tip, inner_tip = math.acos(x), math.acos((x - d) / inner)
    outer_arc = np.linspace(tip, 2 * math.pi - tip, 40)
    inner_arc = np.linspace(2 * math.pi - inner_tip, inner_tip, 30)
    arcs = [(math.cos(a), math.sin(a)) for a in outer_arc]
    arcs += [(d + inner * math.cos(a), inner * math.sin(a)) for a in inner_arc]
    return [(px + 0.25, py) for px, py in arcs]


def shape_parts() -> dict[str, list[Part]]:
    """Every shape in the box [-1, 1] x [-1, 1], y downwards, parts in painting order."""
    crown = [disc(0, -0.5, 0.48), disc(-0.47, -0.1, 0.42), disc(0.47, -0.1, 0.42), disc(0, 0.05, 0.45)]
    petals = [disc(0.6 * math.sin(math.pi * i / 3), -0.6 * math.cos(math.pi * i / 3), 0.37) for i in range(6)]
    sails = [[(0.0, -1.0), (0.0, 0.36), (-0.85, 0.36)], [(0.06, -0.8), (0.06, 0.36), (0.8, 0.36)]]
    return {
        "circle": [Part([disc(0, 0, 0.95)])],
        "square": [Part([box(-0.84, -0.84, 0.84, 0.84)])],
        "triangle": [Part([[(0, -0.95), (1.0, 0.8), (-1.0, 0.8)]])],
        "star": [Part([star_polygon()])],
        "heart": [Part([heart_polygon()])],
        "moon": [Part([moon_polygon()])],
        "house": [
            Part([box(-0.76, -0.2, 0.76, 0.95)]),
            Part([[(-1.0, -0.1), (0, -1.0), (1.0, -0.1)]], 0.85),
            Part([box(-0.2, 0.35, 0.2, 0.95)], 0.6),
        ],
        "tree": [Part([box(-0.17, 0.2, 0.17, 1.0)], paint="wood"), Part(crown)],
        "flower": [Part(petals), Part([disc(0, 0, 0.3)], paint="heart of a flower")],
        "boat": [Part([sails[0]]), Part([sails[1]]), Part([[(-1, 0.38), (1, 0.38), (0.66, 0.88), (-0.66, 0.88)]])],
    }


PARTS = shape_parts()
UPRIGHT = ("house", "tree", "boat", "square", "triangle")


def paint_of(part: Part, colour: str) -> RGB:
    if part.paint == "wood":
        return WOOD
    if part.paint:
        return PAINTS["brown" if colour in ("yellow", "orange", "white") else "yellow"]
    return scaled(PAINTS[colour], part.shade)


def scaled(colour: RGB, factor: float) -> RGB:
    red, green, blue = (min(255, round(value * factor)) for value in colour)
    return red, green, blue


@dataclass(frozen=True)
class Pose:
    """Centre and radius of a thing as parts of the picture's width and height, and its tilt in radians."""

    x: float
    y: float
    radius: float
    tilt: float = 0.0


SINGLE_RADIUS = {"small": 0.155, "": 0.25, "big": 0.345}
PAIR_RADIUS = {"small": 0.115, "": 0.17, "big": 0.205}


def poses(things: tuple[Thing, ...], rng: random.Random) -> list[Pose]:
    """Where each thing is drawn: its named or usual place, a little off."""
    radii = SINGLE_RADIUS if len(things) == 1 else PAIR_RADIUS
    near, far = (0.3, 0.7) if len(things) == 1 else (0.25, 0.75)
    centres = {"centre": (0.5, 0.5), "left": (near, 0.5), "right": (far, 0.5), "top": (0.5, near), "bottom": (0.5, far)}
    result = []
    for thing, place in zip(things, resolved_places([thing.place for thing in things]), strict=True):
        radius = radii[thing.size] * rng.uniform(0.95, 1.05)
        x, y = (value + rng.uniform(-0.025, 0.025) for value in centres[place])
        margin = radius + 0.025
        x, y = (min(max(value, margin), 1 - margin) for value in (x, y))
        tilt = rng.uniform(-0.05, 0.05) * (1 if thing.shape in UPRIGHT else 3)
        result.append(Pose(x, y, radius, tilt))
    return result


Standing = Callable[[tuple[Thing, ...], random.Random], list[Pose]]


def placed(polygon: Polygon, pose: Pose, side: int) -> Polygon:
    """Unit coordinates to pixels of a canvas `side` pixels wide."""
    cos, sin = math.cos(pose.tilt) * pose.radius, math.sin(pose.tilt) * pose.radius
    return [((pose.x + x * cos - y * sin) * side, (pose.y + x * sin + y * cos) * side) for x, y in polygon]


def draw_thing(canvas: Image.Image, thing: Thing, pose: Pose) -> None:
    for part in PARTS[thing.shape]:
        draw_polygons(canvas, part.polygons, paint_of(part, thing.colour), pose)


def draw_polygons(canvas: Image.Image, polygons: list[Polygon], fill: RGB, pose: Pose) -> None:
    """Polygons in unit coordinates as one patch of colour inside one darker outline."""
    pen = ImageDraw.Draw(canvas)
    side = canvas.width
    width = max(2, round(2 * OUTLINE * side))
    outline = scaled(fill, 0.62)
    outlines = [placed(polygon, pose, side) for polygon in polygons]
    for points in outlines:
        pen.line([*points, points[0], points[1]], fill=outline, width=width, joint="curve")
    for points in outlines:
        pen.polygon(points, fill=fill)


def thing_mask(thing: Thing, pose: Pose, side: int, wood: bool = True) -> Image.Image:
    """Where the thing is: 255 inside, mode L, `side` pixels wide; perhaps without its trunk."""
    mask = Image.new("L", (side, side))
    pen = ImageDraw.Draw(mask)
    for part in PARTS[thing.shape]:
        for polygon in part.polygons if wood or part.paint != "wood" else []:
            pen.polygon(placed(polygon, pose, side), fill=255)
    return mask


def gradient(top: RGB, bottom: RGB, width: int, height: int) -> Image.Image:
    ramp = np.linspace(top, bottom, max(2, height)).round().astype(np.uint8)[:, None, :]
    return Image.fromarray(ramp).resize((width, height))


def draw_day(canvas: Image.Image, rng: random.Random) -> None:
    """A bright sky with a sun and clouds over a grass hill."""
    side = canvas.width
    canvas.paste(gradient((95, 175, 240), (205, 232, 250), side, side), (0, 0))
    pen = ImageDraw.Draw(canvas)
    pen.polygon([(x * side, y * side) for x, y in disc(rng.choice((0.13, 0.87)), 0.13, 0.085)], fill=(255, 226, 110))
    for _ in range(rng.randint(1, 3)):
        x, y, size = rng.uniform(0.2, 0.8), rng.uniform(0.08, 0.3), rng.uniform(0.04, 0.065)
        for dx, dy, scale in ((-1.1, 0.3, 0.8), (0, 0, 1.1), (1.1, 0.3, 0.8)):
            points = disc(x + dx * size, y + dy * size, scale * size)
            pen.polygon([(px * side, py * side) for px, py in points], fill=(252, 253, 255))
    phase, level = rng.uniform(0, 6.28), rng.uniform(0.66, 0.72)
    crest = [(i / 32, level + 0.025 * math.sin(phase + i / 8)) for i in range(33)]
    hill = Image.new("L", canvas.size)
    ImageDraw.Draw(hill).polygon([(x * side, y * side) for x, y in [*crest, (1, 1), (0, 1)]], fill=255)
    canvas.paste(gradient((150, 215, 95), (50, 140, 60), side, side), (0, 0), hill)


def draw_night(canvas: Image.Image, rng: random.Random) -> None:
    """A dark blue sky full of stars."""
    side = canvas.width
    canvas.paste(gradient((12, 14, 48), (58, 52, 118), side, side), (0, 0))
    pen = ImageDraw.Draw(canvas)
    for _ in range(rng.randint(22, 34)):
        x, y, radius = rng.random(), rng.random(), rng.choice((0.007, 0.007, 0.012))
        pen.polygon([(px * side, py * side) for px, py in disc(x, y, radius, 12)], fill=(255, 250, 215))


def draw_sunset(canvas: Image.Image, rng: random.Random) -> None:
    """A low sun over the sea, and its track on the water."""
    side = canvas.width
    horizon = round(rng.uniform(0.56, 0.62) * side)
    canvas.paste(gradient((112, 62, 142), (255, 168, 84), side, horizon), (0, 0))
    pen = ImageDraw.Draw(canvas)
    x = rng.uniform(0.3, 0.7)
    pen.polygon([(px * side, py * side) for px, py in disc(x, horizon / side, 0.14)], fill=(255, 226, 130))
    canvas.paste(gradient((212, 104, 96), (42, 44, 104), side, side - horizon), (0, horizon))
    for row in range(5):
        y, half = horizon / side + 0.04 + 0.065 * row, 0.12 - 0.014 * row
        shift = rng.uniform(-0.02, 0.02)
        streak = box(x - half + shift, y, x + half + shift, y + 0.016)
        pen.polygon([(px * side, py * side) for px, py in streak], fill=(255, 196, 120))


LANDSCAPE_PAINTERS = {
    "day sky over grass": draw_day,
    "night sky with stars": draw_night,
    "sea at sunset": draw_sunset,
}


def light(size: int, pose: Pose | None = None) -> np.ndarray:
    """Brightness factors [size, size, 1]: a thing is lit from the upper left, a picture from its middle."""
    grid = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = grid[None, :], grid[:, None]
    if pose is None:
        field = 1.02 - 0.09 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    else:
        field = 1.0 - 0.07 * np.clip((x - pose.x + y - pose.y) / (1.4 * pose.radius), -1, 1)
    return field[..., None]


def ground(background: str, side: int, rng: random.Random) -> Image.Image:
    """A plain or a painted background, `side` pixels wide; `rng` strews what is in it."""
    if background in COLOURS:
        return Image.new("RGB", (side, side), COLOURS[background])
    canvas = Image.new("RGB", (side, side))
    LANDSCAPE_PAINTERS[background](canvas, rng)
    return canvas


def draw(scene: Scene, size: int = 128, seed: int = 0, stand: Standing = poses) -> Image.Image:
    """The scene as an RGB picture of `size` x `size` pixels; `seed` moves things a little and strews stars."""
    rng = random.Random(seed)
    canvas = ground(scene.background, size * SUPERSAMPLING, rng)
    shading = light(size)
    for thing, pose in zip(scene.things, stand(scene.things, rng), strict=True):
        draw_thing(canvas, thing, pose)
        inside = np.asarray(thing_mask(thing, pose, size), dtype=np.float32)[..., None] / 255
        shading = shading * (1 + inside * (light(size, pose) - 1))
    pixels = np.asarray(canvas.reduce(SUPERSAMPLING), dtype=np.float32) * shading
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def thing_masks(scene: Scene, size: int = 128, seed: int = 0, stand: Standing = poses) -> list[np.ndarray]:
    """Where each thing of `draw`'s picture with the same arguments is: masks [size, size], True inside."""
    rng = random.Random(seed)
    if not scene.plain:
        LANDSCAPE_PAINTERS[scene.background](Image.new("RGB", (size, size)), rng)
    placed_things = zip(scene.things, stand(scene.things, rng), strict=True)
    return [np.asarray(thing_mask(thing, pose, size)) > 0 for thing, pose in placed_things]
