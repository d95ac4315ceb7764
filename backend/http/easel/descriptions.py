"""/easel/interrogate: pictures in words, for the page."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from backend.errors import InvalidRequest
from backend.http.dependencies import FrontDoor

router = APIRouter()


@router.get("/easel/interrogate")
def missing(door: FrontDoor) -> dict[str, str]:
    """Why no picture can be described here, and what to put where; empty when one can."""
    return {"missing": door.descriptions.missing()}


@router.post("/easel/interrogate")
def described(door: FrontDoor, payload: dict[str, Any]) -> dict[str, str]:
    """The uploaded `picture` in a sentence."""
    picture = payload.get("picture")
    if not isinstance(picture, str):
        raise InvalidRequest("must be the id of an upload", field="picture")
    return {"caption": door.descriptions.caption(picture)}
