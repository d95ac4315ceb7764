"""The pictures that were made: their rows, newest first."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from backend.errors import NotFound
from backend.request.record import frozen
from backend.request.request import FIELDS, Request
from backend.store.database import Database
from backend.store.tables import Damaged, ImageRow, JobRow, kind_of, next_sort_moment, now
from backend.store.view_types import Image, TimeTaken

UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, OverflowError)    # what a damaged row raises
BEYOND = 2**64              # what no number of a request reaches, and what is no number at all does not lie below
COLUMN_KINDS = {"index": int, "width": int, "height": int, "seed": int, "infotext": str, "path": str, "format": str,
                "model": str, "sampler": str, "created": datetime}
FILE_COLUMNS = ("path", "width", "height", "seed", "infotext", "format", "digest", "unfinished")
SHOWN = (~ImageRow.deleted, ImageRow.binned.is_(None))      # in lists other than that of the bin
ORDER = (ImageRow.sort_moment, ImageRow.number)


@dataclass(frozen=True, slots=True)
class Order:
    """By what a list is sorted: by `first`, and among equals by the moment. All columns fall, or all rise."""

    first: tuple[ColumnElement[Any], ...] = ()
    falling: bool = True

    @property
    def columns(self) -> tuple[ColumnElement[Any], ...]:
        return (*self.first, *ORDER)

    @property
    def clauses(self) -> tuple[ColumnElement[Any], ...]:
        return tuple(column.desc() if self.falling else column.asc() for column in self.columns)


_PIXELS = ImageRow.width * ImageRow.height
NEWEST = Order()
ORDERS = {"newest": NEWEST, "oldest": Order(falling=False), "starred": Order((ImageRow.starred,)),
          "largest": Order((_PIXELS,)), "smallest": Order((-_PIXELS,))}
NEWEST_FIRST = NEWEST.clauses


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFile:
    """A picture file as it was written: what its row will say. `path` is relative to the outputs folder."""

    index: int
    path: str
    width: int
    height: int
    seed: int
    infotext: str
    format: str
    digest: str = ""        # SHA-256 of the file, hexadecimal
    unfinished: bool = False
    notes: tuple[str, ...] = ()


def new_id() -> str:
    """An id that cannot be guessed and fits into a URL and a file name."""
    return secrets.token_hex(12)


def stored_request(values: Mapping[str, Any]) -> Request:
    """A request from its row, to be shown. Fields of other versions are left out, missing ones take the default.

    So do those of a damaged row that are of another kind than their field.
    """
    return Request.of({name: frozen(value) for name, value in values.items() if name in FIELDS and _fits(name, value)})


def runnable_request(values: Mapping[str, Any]) -> Request:
    """A request from its row, to be carried out. ValueError for a damaged one: its pictures would be others."""
    if isinstance(values, Damaged) or not all(_fits(name, value) for name, value in values.items() if name in FIELDS):
        raise ValueError("the request is damaged")
    return stored_request(values)


def _fits(name: str, value: Any) -> bool:
    """Whether a stored value is of the kind of its field's default; bounds may have been others once."""
    default = FIELDS[name].default
    if isinstance(value, int | float) and not abs(value) < BEYOND:
        return False
    if default is None:
        return value is None or isinstance(value, int | float | str)
    if isinstance(default, tuple):
        return isinstance(value, list) and all(isinstance(part, str | dict) for part in value)
    kind = (int, float) if isinstance(default, float) else type(default)
    return isinstance(value, kind) and isinstance(value, bool) is isinstance(default, bool)


def last_place(session: Session) -> int:
    """The highest place in the queue that was ever given; inside a write transaction nobody else can take the next."""
    return session.scalar(_LAST_PLACE) or 0


def end_of_queue(session: Session, owner: str, created: datetime) -> tuple[int, datetime]:
    """`last_place`, and `next_sort_moment` of a job that the owner queues at the moment `created`, in one question."""
    place, newest = session.execute(_END_OF_QUEUE, {"owner": owner}).one()
    return place or 0, max(created, newest + timedelta(microseconds=1)) if newest else created


# SQLite sorts the text that a damaged row may hold behind all numbers.
_LAST_PLACE = select(func.max(JobRow.place)).where(JobRow.place < 2**62)
_END_OF_QUEUE = select(
    _LAST_PLACE.scalar_subquery(),
    select(func.max(JobRow.sort_moment)).where(JobRow.owner == bindparam("owner")).scalar_subquery(),
)


def readable(rows: Iterable[tuple[ImageRow, Request]]) -> Iterator[tuple[ImageRow, Image]]:
    """The pictures of rows; a damaged row that makes none is left out and logged, the others are shown."""
    for row, request in rows:
        try:
            yield row, image_of(row, request)
        except UNREADABLE as error:
            log.warning("picture %s of the history cannot be read: %s", row.number, error)


def image_of(row: ImageRow, request: Request) -> Image:
    """The picture as it is told; `request` is its whole job's. Raises one of UNREADABLE for a damaged row."""
    for column, kind in COLUMN_KINDS.items():
        if not isinstance(getattr(row, column), kind):
            raise TypeError(f"{column} is not of type {kind.__name__}")
    if row.format not in FIELDS["image_format"].choices:
        raise LookupError(f"no format is called {row.format}")
    return Image(id=row.id, job=row.job, index=row.index, width=row.width, height=row.height, seed=row.seed,
                 infotext=row.infotext, format=row.format, created=row.created,
                 request=request.of_image(max(row.index, 0)).to_json(), name=row.path.rpartition("/")[2],
                 starred=row.starred, binned=row.binned is not None, unfinished=row.unfinished, model=row.model,
                 sampler=row.sampler)


def after(session: Session, image_id: str, owner: str, order: Order = NEWEST) -> ColumnElement[bool]:
    """The condition "comes after this picture in a list of that order". NotFound when the owner never had it."""
    columns = order.columns
    place = select(*columns).where(ImageRow.id == image_id, ImageRow.owner == owner)
    last = session.execute(place).one_or_none()
    if last is None:
        raise NotFound("There is no such picture.", field="before")
    here, there = tuple_(*columns), tuple_(*last, types=[column.type for column in columns])
    return here < there if order.falling else here > there


def images_of(session: Session, requests: Mapping[str, Request]) -> dict[str, list[Image]]:
    """The pictures of several jobs, given as job id -> request, in the order of their indices; no grids."""
    found: dict[str, list[Image]] = {job: [] for job in requests}
    query = select(ImageRow).where(ImageRow.job.in_(requests), ImageRow.index >= 0, *SHOWN)
    query = query.order_by(ImageRow.job, ImageRow.index)
    for row, image in readable((row, requests[row.job]) for row in session.scalars(query)):
        found[row.job].append(image)
    return found


class History:
    """Rows of pictures. Every reading method sees one owner's pictures only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def images(self, owner: str, limit: int = 50, before: str | None = None, job: str | None = None) -> list[Image]:
        """Newest first; `before` is the id of the last picture already seen. NotFound when that one was never there."""
        query = select(ImageRow, JobRow.request).join(JobRow, JobRow.id == ImageRow.job)
        query = query.where(ImageRow.owner == owner, *SHOWN).order_by(*NEWEST_FIRST).limit(limit)
        with self._database.read() as session:
            if before is not None:
                query = query.where(after(session, before, owner))
            if job is not None:
                query = query.where(ImageRow.job == job)
            rows = ((row, stored_request(request)) for row, request in session.execute(query))
            return [image for _, image in readable(rows)]

    def image(self, image_id: str, owner: str) -> Image:
        """NotFound when there is none, or when it is someone else's."""
        with self._database.read() as session:
            row = _find(session, image_id, owner)
            job = session.get(JobRow, row.job)
            found = readable([(row, stored_request(job.request if job else {}))])
            if (image := next((image for _, image in found), None)) is None:
                raise NotFound("What is known of this picture is damaged and cannot be read.")
            return image

    def path(self, image_id: str, owner: str) -> str:
        """Where the file lies below the outputs folder; NotFound as in `image`."""
        with self._database.read() as session:
            return _find(session, image_id, owner).path

    def of_job(self, job: str, owner: str) -> tuple[list[Image], list[str]]:
        """A job's own pictures in the order of their indices, and where their files lie."""
        query = select(ImageRow, JobRow.request).join(JobRow, JobRow.id == ImageRow.job)
        query = query.where(ImageRow.job == job, ImageRow.owner == owner, ImageRow.index >= 0, *SHOWN)
        with self._database.read() as session:
            rows = session.execute(query.order_by(ImageRow.index)).all()
            found = list(readable((row, stored_request(request)) for row, request in rows))
            return [image for _, image in found], [row.path for row, _ in found]

    def time_taken(self, image_id: str, owner: str) -> TimeTaken | None:
        """Of the picture's job; None where nothing is known of it, as for imported pictures. Raises NotFound."""
        job = self.image(image_id, owner).job
        made = select(func.count(), func.max(ImageRow.created)).where(ImageRow.job == job, ImageRow.index >= 0)
        with self._database.read() as session:
            times = session.execute(select(JobRow.started, JobRow.ended).where(JobRow.id == job)).one_or_none()
            pictures, newest = session.execute(made).one()
        started, ended = times or (None, None)
        until = ended or newest
        if not started or not until or until <= started:
            return None
        return TimeTaken((until - started).total_seconds(), pictures)

    def results(self, job: str, owner: str) -> list[Image]:
        """A job's own pictures in the order of their indices, with half-drawn ones that were put into the bin."""
        query = select(ImageRow, JobRow.request).join(JobRow, JobRow.id == ImageRow.job)
        query = query.where(ImageRow.job == job, ImageRow.owner == owner, ImageRow.index >= 0, ~ImageRow.deleted,
                            or_(ImageRow.binned.is_(None), ImageRow.unfinished))
        with self._database.read() as session:
            rows = session.execute(query.order_by(ImageRow.index)).all()
            return [image for _, image in readable((row, stored_request(request)) for row, request in rows)]

    def add(self, job: str, lease: str, saved: PictureFile) -> Image | None:
        """Record a saved picture and its notes; None when the job is no longer held under this lease (a ghost).

        A picture made again keeps its id and its place in the history. A half-drawn one that its job does not keep
        goes into the bin.
        """
        with self._database.write() as session:
            held = session.scalar(select(JobRow).where(JobRow.id == job, JobRow.lease == lease))
            if held is None:
                return None
            held.notes = [*held.notes, *(note for note in saved.notes if note not in held.notes)]
            row = session.scalar(select(ImageRow).where(ImageRow.job == job, ImageRow.index == saved.index))
            if row is None:
                created = now()
                row = ImageRow(id=new_id(), job=job, index=saved.index, owner=held.owner, created=created,
                               sort_moment=next_sort_moment(session, ImageRow, held.owner, created))
                session.add(row)
            request = stored_request(held.request)
            if row.unfinished or saved.unfinished:
                row.deleted, row.binned = False, None
                if saved.unfinished and not request.save_incomplete_images:
                    row.binned = now()
            for name in FILE_COLUMNS:
                setattr(row, name, getattr(saved, name))
            row.kind = kind_of(request, saved.index)
            session.flush()
            return image_of(row, request)

    def adopt(self, owner: str, created: datetime, request: Request, file: PictureFile) -> str:
        """Make a finished job of one picture for a file that was found; the picture's id."""
        with self._database.write() as session:
            job = JobRow(id=new_id(), owner=owner, state="done", place=last_place(session) + 1,
                         request=request.to_json(), checkpoint=request.checkpoint, created=created, started=created,
                         ended=created)
            session.add(job)
            session.flush()
            image = ImageRow(id=new_id(), job=job.id, owner=owner, created=created, kind=kind_of(request, file.index))
            for name in ("index", *FILE_COLUMNS):
                setattr(image, name, getattr(file, name))
            session.add(image)
            return image.id

    def same(self, owner: str, file: PictureFile) -> list[tuple[str, str, bool]]:
        """(id, path, sure) of the owner's pictures with the content of `file`.

        Sure ones have its digest. Rows from before there were digests only say the same of the picture.
        """
        looks = and_(ImageRow.digest == "", *(getattr(ImageRow, name) == getattr(file, name)
                                              for name in ("width", "height", "seed", "format", "infotext")))
        query = select(ImageRow.id, ImageRow.path, ImageRow.digest).where(ImageRow.owner == owner, ~ImageRow.deleted)
        query = query.where(or_(ImageRow.digest == file.digest, looks)).order_by(ImageRow.digest.desc())
        with self._database.read() as session:
            return [(row.id, row.path, row.digest != "") for row in session.execute(query)]

    def star(self, ids: Collection[str], on: bool, owner: str) -> None:
        """Give the owner's pictures a star, or take it away. NotFound when one is unknown; then nothing is changed."""
        with self._database.write() as session:
            change(session, ids, owner, starred=on)

    def is_free(self, job: str, index: int, path: str) -> bool:
        """Whether no other picture than this one of this job lies at `path`; those in the bin count."""
        with self._database.read() as session:
            row = session.scalar(select(ImageRow).where(ImageRow.path == path))
        return row is None or (row.job, row.index) == (job, index)

    def unknown(self, paths: Iterable[str]) -> list[str]:
        """Those of `paths` that no row refers to."""
        with self._database.read() as session:
            known = set(session.scalars(select(ImageRow.path)))
        return [path for path in paths if path not in known]


def change(session: Session, ids: Collection[str], owner: str, **values: Any) -> None:
    """Write `values` into the rows of these pictures. NotFound when the owner has not all of them."""
    wanted = set(ids)
    theirs = update(ImageRow).where(ImageRow.id.in_(wanted), ImageRow.owner == owner, ~ImageRow.deleted)
    if not all(map(str.isascii, wanted)) or wanted and session.execute(theirs.values(**values)).rowcount < len(wanted):
        raise NotFound("There is no such picture." if len(wanted) == 1 else "Not all of these pictures are there.")


def _find(session: Session, image_id: str, owner: str) -> ImageRow:
    query = select(ImageRow).where(ImageRow.id == image_id, ImageRow.owner == owner, ~ImageRow.deleted)
    row = session.scalar(query)
    if row is None:
        raise NotFound("There is no such picture.")
    return row
