"""The extensions in Easel's folder, and the switch of each."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from fastapi import APIRouter, Body

from backend.http.dependencies import EntireBackend, FrontDoor
from backend.http.json_answers import JSONAnswer

router = APIRouter(prefix="/easel/extensions")


@router.get("")
def listed(backend: EntireBackend) -> Any:
    """Each with its state: "on", "off", "failed" or "unusable", and whether the next start should have it."""
    return JSONAnswer({"extensions": [dataclasses.asdict(each) for each in backend.extensions.listed()]})


@router.put("/{name}")
def switch(name: str, on: Annotated[bool, Body(embed=True, strict=True)], door: FrontDoor) -> Any:
    """On or off from the next start on."""
    return JSONAnswer(dataclasses.asdict(door.backend.extensions.switch(name, on, door.user)))
