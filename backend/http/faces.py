"""What the page asks about faces."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from backend.http.dependencies import FrontDoor

router = APIRouter(prefix="/easel/faces")


@router.get("/similarity")
def similarity(door: FrontDoor, a: str, b: str) -> dict[str, Any]:
    """How alike the largest faces in two pictures are, -1..1; null with a reason, empty without a network."""
    found, why = door.faces.similarity(a, b)
    return {"similarity": found, "why": why}
