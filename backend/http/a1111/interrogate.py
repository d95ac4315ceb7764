"""/sdapi/v1/interrogate: a picture in a sentence or in tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from anyio import to_thread
from fastapi import APIRouter
from starlette.exceptions import HTTPException

from backend import Door
from backend.errors import InvalidRequest, NotFound, UserError
from backend.http.a1111.interrogate_options import (
    BEAMS,
    ESCAPED,
    FILTER,
    LONGEST,
    RANKS,
    SHORTEST,
    SORTED,
    SPACES,
    THRESHOLD,
)
from backend.http.a1111.option_table import KEPT
from backend.http.decode_threads import run_decoding
from backend.http.dependencies import ClientOptions, FrontDoor
from backend.image import upload_decoding
from backend.request.loose_values import truth

CLIP, DANBOORU = "clip", "deepdanbooru"
BACKSLASHED = str.maketrans({mark: f"\\{mark}" for mark in "\\()"})

router = APIRouter()


@router.post("/sdapi/v1/interrogate")
async def interrogate(door: FrontDoor, options: ClientOptions, payload: dict[str, Any]) -> dict[str, str]:
    """A picture (base64) in a sentence by `clip`, or in tags by `deepdanbooru`; 501 where its network is not here."""
    model = payload.get("model", CLIP)
    if model not in (CLIP, DANBOORU):
        raise HTTPException(404, "Model not found")
    upload = await run_decoding(_upload, door, payload.get("image"))
    settings = {name: options.chosen().kept.get(name, KEPT[name]) for name in KEPT}
    describe = _caption if model == CLIP else _tags
    try:
        return {"caption": await to_thread.run_sync(describe, door, upload, settings)}
    except NotFound as error:
        raise HTTPException(501, error.problems[0].message) from error


def _upload(door: Door, image: Any) -> str:
    try:
        return door.upload(upload_decoding.from_base64(image)).id
    except UserError as error:
        raise InvalidRequest(str(error), field="image") from error


def _caption(door: Door, upload: str, settings: Mapping[str, Any]) -> str:
    beams, shortest, longest = (int(float(settings[name])) for name in (BEAMS, SHORTEST, LONGEST))
    return door.descriptions.caption(upload, beams=beams, shortest=shortest, longest=longest)


def _tags(door: Door, upload: str, settings: Mapping[str, Any]) -> str:
    found = door.descriptions.tags(upload, float(settings[THRESHOLD]))
    return ", ".join(_written(found, settings))


def _written(tags: Iterable[tuple[str, float]], settings: Mapping[str, Any]) -> list[str]:
    """As AUTOMATIC1111 writes tags, by its options."""
    left_out = {_plain(name) for name in str(settings[FILTER] or "").split(",")}
    rows = [(name, sure) for name, sure in tags if _plain(name) not in left_out]
    rows = sorted(rows) if truth(settings[SORTED]) else rows
    written = []
    for name, sure in rows:
        text = name.replace("_", " ") if truth(settings[SPACES]) else name
        text = text.translate(BACKSLASHED) if truth(settings[ESCAPED]) else text
        written.append(f"({text}:{sure:.3f})" if truth(settings[RANKS]) else text)
    return written


def _plain(name: str) -> str:
    return name.strip().replace(" ", "_").casefold()
