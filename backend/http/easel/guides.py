"""What the page asks about guides: choices, models, preprocessors, what does not fit, and previews."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from backend.errors import InvalidRequest
from backend.http.dependencies import FrontDoor
from backend.request.guide_choices import GUIDE_CHOICES
from backend.request.guide_modules import KEY_POINTS, MODULES, POSES, UNION_OF

LARGEST = 8192
LONGEST_NAME = 64
router = APIRouter(prefix="/easel/guides")


@router.get("")
def guides(door: FrontDoor, checkpoint: str = "", refresh: bool = False) -> dict[str, Any]:
    """What to guide by, the preprocessors, and the models that can guide a checkpoint."""
    modules = [{**asdict(module), "missing": door.guides.missing(module), "points": module.name in (*POSES, KEY_POINTS),
                "union": UNION_OF.get(module.name, "")} for module in MODULES.values()]
    models = [{"name": file.key, "kind": file.kind, "prefers": door.guides.preferred(file)}
              for file in door.guides.models(checkpoint, refresh)]
    return {"choices": [asdict(choice) for choice in GUIDE_CHOICES.values()], "modules": modules, "models": models}


@router.post("/check")
def check(door: FrontDoor, payload: dict[str, Any]) -> dict[str, Any]:
    """What is wrong with `guides`, a list of units, for a `checkpoint`."""
    found = door.guides.problems(str(payload.get("checkpoint", "")), payload.get("guides", []))
    return {"problems": [asdict(problem) for problem in found]}


@router.post("/preview")
def preview(door: FrontDoor, payload: dict[str, Any]) -> dict[str, Any]:
    """The id of an upload: what the model of `unit` would be shown at `width` and `height`, if these are given.

    With a name of its own as `task` it can be cancelled.
    """
    unit = payload.get("unit")
    if not isinstance(unit, dict):
        raise InvalidRequest("must be an object", field="unit")
    made = door.guides.preview(unit, _size(payload), _task(payload))
    return {"id": made.id, "width": made.width, "height": made.height}


@router.post("/points")
def points(door: FrontDoor, payload: dict[str, Any]) -> dict[str, Any]:
    """The points of whoever is in the picture of `unit`, a list of people, in shares of the hint's width and height."""
    unit = payload.get("unit")
    if not isinstance(unit, dict):
        raise InvalidRequest("must be an object", field="unit")
    return {"people": json.loads(door.guides.points(unit, _size(payload)))}


@router.post("/pose")
def pose(door: FrontDoor, payload: dict[str, Any]) -> dict[str, Any]:
    """The id of an upload: `people`, a list as `points` gives it, drawn at `width` and `height`."""
    size = _size(payload)
    if size is None:
        raise InvalidRequest("is missing", field="width")
    return {"id": door.guides.drawn_points(json.dumps(payload.get("people")), size).id}


@router.post("/preview/cancel")
def cancel_preview(door: FrontDoor, payload: dict[str, Any]) -> dict[str, Any]:
    """Give up the preview with the name `task`, which is being made."""
    door.guides.cancel_preview(_task(payload))
    return {}


def _task(payload: dict[str, Any]) -> str:
    """Raises InvalidRequest."""
    task = payload.get("task", "")
    if not isinstance(task, str) or len(task) > LONGEST_NAME:
        raise InvalidRequest(f"must be a text of at most {LONGEST_NAME} letters", field="task")
    return task


def _size(payload: dict[str, Any]) -> tuple[int, int] | None:
    """(height, width), None where they are not given. Raises InvalidRequest."""
    sides = payload.get("height"), payload.get("width")
    if sides == (None, None):
        return None
    if not all(isinstance(side, int) and 8 <= side <= LARGEST for side in sides):
        raise InvalidRequest(f"must be between 8 and {LARGEST}", field="width")
    return sides[0], sides[1]
