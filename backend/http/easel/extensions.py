"""The extensions in Easel's folder, and the switch of each."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from fastapi import APIRouter, Body

from backend.http.dependencies import FrontDoor
from backend.http.json_answers import JSONAnswer

router = APIRouter(prefix="/easel/extensions")


@router.get("")
def listed(door: FrontDoor) -> Any:
    """Each with its state: "on", "off", "failed" or "unusable", and whether the next start should have it.

    `may_switch`: whether the caller may change that.
    """
    return JSONAnswer({"extensions": [dataclasses.asdict(each) for each in door.backend.extensions.listed()],
                       "may_switch": door.user.is_admin})


@router.put("/{name}")
def switch(name: str, on: Annotated[bool, Body(embed=True, strict=True)], door: FrontDoor) -> Any:
    """On or off from the next start on."""
    return JSONAnswer(dataclasses.asdict(door.backend.extensions.switch(name, on, door.user)))
