"""The points of people in a picture as the page moves them: a JSON text, checked wherever it arrives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

PARTS: Mapping[str, int] = {"body": 18, "left_hand": 21, "right_hand": 21, "face": 70, "key_points": 5}
"""How many points a part of a person has at most: OpenPose's, and the five of a face that InstantID knows."""
WHOLE = ("body", "key_points")      # parts that have all their points, those that nobody sees as None
MOST_PEOPLE = 50
OUTSIDE = 1.0                       # how far beyond the picture a point may lie, in widths and heights of it

Point = tuple[float, float]
Person = Mapping[str, list[Point | None]]
"""By part; x and y of the whole picture's width and height."""


def read_people(text: str) -> list[Person]:
    """From JSON. Raises ValueError with a sentence."""
    try:
        people = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("is no JSON") from None
    if not isinstance(people, list) or len(people) > MOST_PEOPLE or not all(isinstance(each, dict) for each in people):
        raise ValueError(f"must be a list of at most {MOST_PEOPLE} people")
    return [{part: _points(part, points) for part, points in each.items() if points} for each in people]


def written(people: list[Person]) -> str:
    """As JSON."""
    return json.dumps(people)


def _points(part: str, points: Any) -> list[Point | None]:
    most = PARTS.get(part)
    if most is None:
        raise ValueError(f"has a part '{part[:40]}'; there are {', '.join(PARTS)}")
    if not isinstance(points, list) or len(points) > most or part in WHOLE and len(points) != most:
        raise ValueError(f"must have {most} points for {part}")
    return [_point(point) for point in points]


def _point(point: Any) -> Point | None:
    if point is None:
        return None
    pair = isinstance(point, list | tuple) and len(point) == 2
    if not pair or not all(isinstance(each, int | float) and -OUTSIDE <= each <= 1 + OUTSIDE for each in point):
        raise ValueError("has a point that is no pair of shares of the picture's width and height")
    return float(point[0]), float(point[1])
