"""What the page asks about faces."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter

from backend.catalog.face_files import PACKS
from backend.errors import InvalidRequest, NotAllowed
from backend.http.dependencies import FrontDoor

router = APIRouter(prefix="/easel/faces")
NETWORKS = {pack: name for name, (pack, _) in PACKS.items()}


@router.get("/similarity")
def similarity(door: FrontDoor, a: str, b: str) -> dict[str, Any]:
    """How alike the largest faces in two pictures are, -1..1; null with a reason, empty without a network."""
    found, why = door.faces.similarity(a, b)
    return {"similarity": found, "why": why}


@router.get("/located")
def located(
    door: FrontDoor, picture: str, pack: Literal["antelopev2", "buffalo_l"] = "buffalo_l", adapter: str = ""
) -> dict[str, Any]:
    """Where the faces of an uploaded picture are, and for each order their places in it; or why there are none, and
    whether they may be found `later`.

    They are seen through a `pack` of networks, or those that belong to an IP-Adapter.
    """
    try:
        found = door.faces.located(picture, NETWORKS[pack], adapter)
    except (InvalidRequest, NotAllowed) as error:
        return {"faces": [], "orders": {}, "why": error.problems[0].message, "later": isinstance(error, NotAllowed)}
    faces = [{"box": box, "male": male} for box, male in zip(found.boxes, found.male, strict=True)]
    return {"faces": faces, "orders": found.orders, "why": "", "later": False}
