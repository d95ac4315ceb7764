"""Cards of networks (AUTOMATIC1111's "extra networks"): a searched list, notes, pictures."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from starlette.responses import Response

from backend.facade.networks import Card, Wanted
from backend.http.decode_threads import run_decoding
from backend.http.dependencies import FrontDoor
from backend.http.files import THUMB
from backend.image import thumbnail

Name = Annotated[str, Query(max_length=1000)]
router = APIRouter(prefix="/easel/networks")


@router.get("/{kind}")
def cards(
    door: FrontDoor, kind: str, search: str = "", folder: str = "", sort: str = "name", checkpoint: str = "",
    unfitting: bool = False, start: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """`limit` cards after the first `start` of those that the search finds, and how many it finds."""
    found = door.networks.cards(Wanted(kind, search, folder, sort, checkpoint, unfitting))
    return {"total": len(found), "folders": door.networks.folders(kind),
            "cards": [summary(card) for card in found[start:start + limit]]}


@router.get("/{kind}/details")
def details(door: FrontDoor, kind: str, name: Name) -> dict[str, Any]:
    """One card with its notes and the words that it was trained on."""
    card = door.networks.card(kind, name)
    tags = [{"tag": tag, "count": count} for tag, count in door.networks.tags(kind, name)]
    return summary(card) | noted(card) | {"tags": tags}


@router.post("/{kind}/notes")
def notes(door: FrontDoor, kind: str, name: Name, changes: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
    """Writes notes beside the file: `words` (a list), `negative`, `weight`, `description`, `notes`."""
    card = door.networks.set_notes(kind, name, changes)
    return summary(card) | noted(card)


@router.get("/{kind}/picture")
async def picture(door: FrontDoor, kind: str, name: Name) -> Response:
    """A small WebP of the network's picture. Its address holds the time of its last change, so it may be kept."""
    small = await run_decoding(_small, door, kind, name)
    return Response(small, media_type="image/webp", headers={"Cache-Control": "private, max-age=86400"})


@router.post("/{kind}/picture")
async def use_picture(
    door: FrontDoor, kind: str, name: Name, image: Annotated[str, Body(embed=True)]
) -> dict[str, Any]:
    """One of the caller's pictures becomes the network's."""
    return summary(await run_decoding(door.networks.set_picture, kind, name, door.image_file(image)))


@router.post("/{kind}/refresh")
def refresh(door: FrontDoor, kind: str) -> dict[str, Any]:
    """Looks for files that have come or gone."""
    door.networks.refresh(kind)
    return {}


def summary(card: Card) -> dict[str, Any]:
    """What the list shows of a network."""
    return {
        "name": card.file.key, "title": card.file.title, "alias": card.file.facts.get("alias", ""),
        "family": card.file.family, "folder": card.folder, "size": card.size, "words": card.notes.words,
        "weight": card.notes.weight, "negative": card.notes.negative, "reason": card.reason,
        "picture": card.picture.stat().st_mtime_ns // 1_000_000 if card.picture and card.picture.is_file() else 0,
    }


def noted(card: Card) -> dict[str, Any]:
    return {"description": card.notes.description, "notes": card.notes.notes}


def _small(door: FrontDoor, kind: str, name: str) -> bytes:
    return thumbnail.thumbnail(door.networks.picture(kind, name), THUMB)
