"""Boards: albums of the history. A picture may be on several; what becomes of a board touches no picture."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from backend.errors import InvalidRequest, NotFound
from backend.store.database import Database
from backend.store.history import new_id
from backend.store.tables import BoardPictureRow, BoardRow, ImageRow

LONGEST_NAME = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """An album, and how many pictures of it are not in the bin."""

    id: str
    name: str
    count: int


class Boards:
    """Every method touches one owner's boards only. NotFound for those of others."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, owner: str) -> list[Board]:
        """In alphabetical order."""
        shown = (ImageRow.id == BoardPictureRow.image) & ~ImageRow.deleted & ImageRow.binned.is_(None)
        counts = select(BoardRow.id, BoardRow.name, func.count(ImageRow.id)).where(BoardRow.owner == owner)
        counts = counts.outerjoin(BoardPictureRow, BoardPictureRow.board == BoardRow.id).outerjoin(ImageRow, shown)
        with self._database.read() as session:
            rows = session.execute(counts.group_by(BoardRow.id)).all()
        found = [Board(id=board, name=name, count=count) for board, name, count in rows]
        return sorted(found, key=lambda board: board.name.casefold())

    def create(self, name: str, owner: str) -> Board:
        """InvalidRequest for a name that is none, or that another board of the owner has."""
        with self._database.write() as session:
            row = BoardRow(id=new_id(), owner=owner, name=_free_name(session, name, owner))
            session.add(row)
            return Board(id=row.id, name=row.name, count=0)

    def rename(self, board: str, name: str, owner: str) -> None:
        """InvalidRequest as in `create`."""
        with self._database.write() as session:
            _owned(session, board, owner).name = _free_name(session, name, owner, but=board)

    def delete(self, board: str, owner: str) -> None:
        """Its pictures stay in the history."""
        with self._database.write() as session:
            session.execute(delete(BoardPictureRow).where(BoardPictureRow.board == _owned(session, board, owner).id))
            session.execute(delete(BoardRow).where(BoardRow.id == board))

    def add(self, board: str, ids: Collection[str], owner: str) -> None:
        """Put pictures on the board; all of them or none."""
        with self._database.write() as session:
            _owned(session, board, owner)
            theirs = select(func.count(ImageRow.id)).where(_pictures(ids, owner))
            if session.scalar(theirs) != len(set(ids)):
                raise NotFound("Not all of these pictures are there.")
            rows = [{"board": board, "image": image} for image in set(ids)]
            if rows:
                session.execute(insert(BoardPictureRow).on_conflict_do_nothing(), rows)

    def remove(self, board: str, ids: Collection[str], owner: str) -> None:
        """Take pictures off the board; those that are not on it are passed over."""
        with self._database.write() as session:
            on = BoardPictureRow.board == _owned(session, board, owner).id
            session.execute(delete(BoardPictureRow).where(on, BoardPictureRow.image.in_(set(ids))))

    def with_picture(self, image: str, owner: str) -> list[str]:
        """The ids of the boards that a picture is on."""
        query = select(BoardRow.id).join(BoardPictureRow, BoardPictureRow.board == BoardRow.id)
        with self._database.read() as session:
            return list(session.scalars(query.where(BoardRow.owner == owner, BoardPictureRow.image == image)))


def on_board(owner: str, board: str = "", name: str = "") -> ColumnElement[bool]:
    """The condition "is on this board of the owner", named by its id or by a name in any case."""
    rows = select(BoardPictureRow.image).join(BoardRow, BoardRow.id == BoardPictureRow.board)
    named = func.lower(BoardRow.name) == func.lower(name) if name else BoardRow.id == board
    return ImageRow.id.in_(rows.where(BoardRow.owner == owner, named))


def _pictures(ids: Collection[str], owner: str) -> ColumnElement[bool]:
    return ImageRow.id.in_(set(ids)) & (ImageRow.owner == owner) & ~ImageRow.deleted


def _owned(session: Session, board: str, owner: str) -> BoardRow:
    row = session.get(BoardRow, board)
    if row is None or row.owner != owner:
        raise NotFound("There is no such board.")
    return row


def _free_name(session: Session, name: str, owner: str, but: str = "") -> str:
    """The name as it is kept: one line without quotes, so that a search can name it."""
    plain = "".join(letter if unicodedata.category(letter)[0] != "C" else " " for letter in name.replace('"', "'"))
    plain = " ".join(plain.split())
    if not plain or len(plain) > LONGEST_NAME:
        raise InvalidRequest(f"A board needs a name of at most {LONGEST_NAME} letters.", field="name")
    others = select(BoardRow.name).where(BoardRow.owner == owner, BoardRow.id != but)
    if plain.casefold() in map(str.casefold, session.scalars(others)):
        raise InvalidRequest("There is a board of that name already.", field="name")
    return plain
