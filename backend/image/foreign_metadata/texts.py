"""The texts inside a picture file by the place where they stand, and JSON among them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PARAMETERS, COMMENT, SEGMENT, XMP = "parameters", "exif comment", "comment", "xmp"
"""AUTOMATIC1111's chunk, EXIF's UserComment, a JPEG's COM segment, and XMP; other names are a PNG's chunks."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of a picture of `width` x `height` pixels."""

    by_place: Mapping[str, str]
    width: int = 0
    height: int = 0

    def __getitem__(self, place: str) -> str:
        """The text at a place, "" for none."""
        return self.by_place.get(place, "")

    def table(self, *places: str) -> dict[str, Any]:
        """The first JSON object at one of these places; an empty one when there is none."""
        return next(filter(None, (json_object(self[place]) for place in places)), {})


def json_object(text: Any) -> dict[str, Any]:
    """The JSON object that a text is; an empty one for any other text."""
    if not isinstance(text, str) or not text.lstrip().startswith("{"):
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def is_json(text: str) -> bool:
    """Whether a text is a JSON object or list, which is nobody's prompt."""
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False
