"""The History tab's routes: search, stars, the bin, comparison, import. All of them for the caller's own pictures."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Query
from starlette.requests import Request

from backend.errors import InvalidRequest, Problem, UserError
from backend.http.decode_threads import run_decoding
from backend.http.dependencies import FrontDoor
from backend.http.easel.files import row
from backend.request.request import MAX_SEED
from backend.store import search

MOST = 1000                                             # pictures that one request may change
FIRST, LAST = date(1970, 1, 2), date(9998, 12, 30)      # other days count as the nearer of these
MINUTES = 24 * 60
MILLISECONDS = 4_000_000_000_000                        # the year 2096
Ids = Annotated[list[str], Body(embed=True, max_length=MOST)]
router = APIRouter(prefix="/easel/history")


@dataclass(frozen=True, slots=True)
class Asked:
    """The query of a search. Days are those of the page's clock, which is `zone` minutes ahead of UTC."""

    limit: Annotated[int, Query(ge=1, le=500)] = 60
    before: str = ""
    q: str = ""
    checkpoint: str = ""
    sampler: str = ""
    seed: str = ""
    since: str = ""
    until: str = ""
    starred: bool = False
    binned: bool = False
    kind: Literal["", "txt2img", "img2img", "inpaint", "extras", "grid"] = ""
    board: str = ""
    order: Literal["newest", "oldest", "starred", "largest", "smallest"] = "newest"
    zone: Annotated[int | None, Query(gt=-MINUTES, lt=MINUTES)] = None

    def query(self) -> search.Query:
        """Raises InvalidRequest naming every wrong field."""
        read = {"seed": _seed, "since": _day, "until": _day}
        problems, values = [], {}
        for name, reading in read.items():
            text = getattr(self, name).strip()
            try:
                values[name] = reading(text) if text else None
            except ValueError as error:
                problems.append(Problem(str(error), name))
        if problems:
            raise InvalidRequest(problems=problems)
        return search.Query(
            words=self.q, checkpoint=self.checkpoint, sampler=self.sampler, seed=values["seed"], starred=self.starred,
            binned=self.binned, kind=self.kind, board=self.board, order=self.order,
            since=self._midnight(values["since"], 0), until=self._midnight(values["until"], 1))

    def _midnight(self, day: date | None, later: int) -> datetime | None:
        """When the day begins, or the one after; by this machine's clock where the page does not tell its own."""
        if day is None:
            return None
        zone = None if self.zone is None else timezone(timedelta(minutes=self.zone))
        return datetime.combine(day + timedelta(days=later), time(), zone).astimezone(UTC)


def _seed(text: str) -> int:
    if not re.fullmatch(r"\d{1,20}", text, re.ASCII) or int(text) > MAX_SEED:
        raise ValueError(f"must be a whole number between 0 and {MAX_SEED:,}")
    return int(text)


def _day(text: str) -> date:
    found = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", text, re.ASCII)
    with suppress(ValueError):      # of a 31st of April
        if found:
            return min(max(date(*map(int, found.groups())), FIRST), LAST)
    raise ValueError("must be a day such as 2024-01-31")


@router.get("")
def history(door: FrontDoor, asked: Annotated[Asked, Depends()]) -> dict[str, Any]:
    """The caller's pictures that fit, in the order asked for; `before` is the id of the last one already known."""
    found, total = door.gallery.search(asked.query(), asked.limit, asked.before or None)
    return {"images": [row(entry.image, entry.missing) for entry in found], "total": total}


@router.get("/choices")
def choices(door: FrontDoor) -> dict[str, list[str]]:
    """What the caller's pictures were made with."""
    checkpoints, samplers = door.gallery.choices()
    return {"checkpoints": checkpoints, "samplers": samplers}


@router.post("/star")
def star(door: FrontDoor, ids: Ids, on: Annotated[bool, Body()] = True) -> dict[str, bool]:
    """A star for each of these pictures, or none."""
    door.gallery.star(ids, on)
    return {"ok": True}


@router.post("/bin")
def put_in_bin(door: FrontDoor, ids: Ids) -> dict[str, bool]:
    """Hides these pictures everywhere but in the bin."""
    door.gallery.put_in_bin(ids)
    return {"ok": True}


@router.post("/restore")
def restore(door: FrontDoor, ids: Ids) -> dict[str, bool]:
    """Takes these pictures out of the bin."""
    door.gallery.restore(ids)
    return {"ok": True}


@router.post("/empty")
def empty(door: FrontDoor) -> dict[str, int]:
    """Deletes for good what lies in the caller's bin."""
    return {"deleted": door.gallery.empty_bin()}


@router.get("/compare")
def compare(door: FrontDoor, a: str, b: str) -> dict[str, Any]:
    """The settings in which two pictures differ, and how many they share."""
    differing, same = door.gallery.compare(a, b)
    return {"differences": [asdict(difference) for difference in differing], "same": same}


@router.post("/import")
async def take_in(
    door: FrontDoor, request: Request, name: str = "",
    modified: Annotated[int | None, Query(ge=0, le=MILLISECONDS)] = None,
) -> dict[str, Any]:
    """Keeps the picture in the body; `name` is its path where it came from, `modified` its time in milliseconds."""
    moment = None if modified is None else datetime.fromtimestamp(modified / 1000, UTC)
    data = await request.body()
    try:
        return asdict(await run_decoding(door.gallery.take_in, data, name, moment))
    except UserError as error:
        raise InvalidRequest(str(error), field="file") from None
