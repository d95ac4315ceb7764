"""Cards of networks (AUTOMATIC1111's "extra networks"): a searched list, notes, pictures."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from starlette.responses import Response

from backend.catalog.network_cards import Card
from backend.facade.networks import Wanted
from backend.http.decode_threads import run_decoding
from backend.http.dependencies import FrontDoor, Place
from backend.http.easel.files import THUMB
from backend.http.json_answers import JSONAnswer
from backend.image import thumbnail

SHOWN = 300         # characters of a description in the list
Name = Annotated[str, Query(max_length=1000)]
router = APIRouter(prefix="/easel/networks")


@router.get("/{kind}")
def cards(
    door: FrontDoor, kind: str, search: str = "", folder: str = "", sort: str = "name", checkpoint: str = "",
    unfitting: bool = False, start: Place = 0, limit: Annotated[int, Query(ge=1, le=500)] = 100,
    first: Annotated[list[str] | None, Query(max_length=100)] = None,
) -> JSONAnswer:
    """`limit` cards after the first `start` of those that the search finds, and how many it finds.

    `left_out`: how many more it would find that do not fit. `first`: names that stand before all others. `home`: the
    folder for such files, below a models folder.
    """
    found = door.networks.cards(Wanted(kind, search, folder, sort, checkpoint, unfitting, tuple(first or ())))
    return JSONAnswer({     # as it is: FastAPI would look through every value again, at each letter of a search
        "total": len(found.cards), "left_out": found.unfitting, "folders": door.networks.folders(kind),
        "home": door.networks.home(kind), "cards": [summary(card) for card in found.cards[start:start + limit]]})


@router.get("/{kind}/details")
def details(door: FrontDoor, kind: str, name: Name, checkpoint: str = "") -> dict[str, Any]:
    """One card with its notes, what its file tells, and the words that it was trained on.

    `misfit`: why it changes nothing on the checkpoint, by all of its layers; "" when it does.
    """
    card = door.networks.card(kind, name)
    tags = [{"tag": tag, "count": count} for tag, count in door.networks.tags(kind, name)]
    return summary(card) | noted(card) | {
        "tags": tags, "facts": door.networks.facts(kind, name), "editable": card.editable,
        "misfit": door.networks.misfit(kind, name, checkpoint) if checkpoint else ""}


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
        "name": card.file.key, "title": card.file.title, "alias": card.alias, "said": card.said,
        "family": card.file.family, "folder": card.folder, "size": card.size, "words": card.notes.words,
        "weight": card.notes.weight, "negative": card.notes.negative, "reason": card.reason,
        "broken": bool(card.file.problem), "description": card.notes.description[:SHOWN],
        "picture": card.picture.stat().st_mtime_ns // 1_000_000 if card.picture and card.picture.is_file() else 0,
    }


def noted(card: Card) -> dict[str, Any]:
    return {"description": card.notes.description, "notes": card.notes.notes}


def _small(door: FrontDoor, kind: str, name: str) -> bytes:
    return thumbnail.thumbnail(door.networks.picture(kind, name), THUMB)
