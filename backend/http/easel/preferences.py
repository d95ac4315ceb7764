"""What the caller prefers, and what this Easel is: the routes behind the Settings tab."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from backend import LOCAL
from backend.http.dependencies import FrontDoor
from backend.version import VERSION

FRESH = {"Cache-Control": "no-store"}
router = APIRouter(prefix="/easel")


@router.get("/preferences")
def preferences(door: FrontDoor) -> dict[str, Any]:
    """What the caller has chosen, by name; what is missing has its default."""
    return door.preferences()


@router.post("/preferences")
def set_preferences(door: FrontDoor, payload: dict[str, Any]) -> dict[str, Any]:
    """Keeps these beside the others; null takes one away. All that is chosen then."""
    return door.set_preferences(payload)


@router.get("/preferences.js")
def script(door: FrontDoor) -> Response:
    """The same as a script that the page runs before it shows anything: no wrong light, no form filled twice.

    Where people log in it also tells whose the drafts are that the browser keeps, and who may only look.
    """
    looks = "" if door.user.may_draw else ' document.documentElement.classList.add("looks");'
    user = f" document.documentElement.dataset.user = {json.dumps(door.user.id)};" if door.user != LOCAL else ""
    script = f"window.easelPreferences = {json.dumps(door.preferences())};{user}{looks}"
    return Response(script, media_type="text/javascript", headers=FRESH)


@router.post("/file-name")
def file_name(door: FrontDoor, payload: dict[str, Any]) -> dict[str, str]:
    """What a picture of the caller would be called with these settings; keeps nothing."""
    return {"name": door.example_name(payload)}


@router.get("/limits")
def limits(door: FrontDoor) -> dict[str, Any]:
    """What the caller may ask for, and what of it is used; a `limit` of null is none. Bytes for "disk"."""
    return {"limits": [asdict(state) for state in door.limits()]}


@router.get("/about")
def about(door: FrontDoor, request: Request) -> dict[str, Any]:
    """The version and the devices; where pictures lie is told where nobody needs to log in, on this machine only."""
    settings = door.backend.settings
    told = {"version": VERSION, "policy": settings.policy, "workers": [
        {"name": worker.name, "state": worker.state, "device": worker.device, "dtype": worker.dtype}
        for worker in door.backend.status().workers]}
    link = request.app.state.public_link
    if door.user.is_admin and (link.url or link.problem):
        told["public_link"] = link.url or link.problem
    return told if not settings.is_open or door.backend.accounts.exist else {**told, "data": str(settings.data)}
