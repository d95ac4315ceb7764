"""Boards: albums of the history. A picture may be on several; what becomes of a board touches no picture.

A board can be shared with everybody or with single users, who see its pictures and can change nothing. Nobody sees
those of a disabled account.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, select
from sqlalchemy.orm import Session

from backend.errors import InvalidRequest, NotFound
from backend.store.database import Database
from backend.store.fair_queue import EVERYBODY
from backend.store.history import SHOWN, new_id
from backend.store.tables import BoardPictureRow, BoardRow, BoardShareRow, ImageRow

LONGEST_NAME = 80
MOST = 1000                 # boards of one owner


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """An album, and how many pictures of it are not in the bin."""

    id: str
    name: str
    count: int
    shared: tuple[str, ...] = ()        # ids of the users who see it, or `EVERYBODY`; for its owner


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedBoard:
    """Another user's album, as the one with whom it is shared sees it; `owner` is the user's id."""

    id: str
    name: str
    count: int
    owner: str


class Boards:
    """Every method touches one owner's boards only, but for those about shared ones. NotFound for those of others."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, owner: str) -> list[Board]:
        """In alphabetical order."""
        with self._database.read() as session:
            rows = session.execute(_counted(BoardRow.owner == owner)).all()
            shares = select(BoardShareRow).join(BoardRow, BoardRow.id == BoardShareRow.board)
            users: dict[str, list[str]] = {}
            for share in session.scalars(shares.where(BoardRow.owner == owner).order_by(BoardShareRow.user)):
                users.setdefault(share.board, []).append(share.user)
        found = [Board(id=row.id, name=row.name, count=row.count, shared=tuple(users.get(row.id, ()))) for row in rows]
        return sorted(found, key=lambda board: board.name.casefold())

    def create(self, name: str, owner: str) -> Board:
        """InvalidRequest for a name that is none, or that another board of the owner has, and for too many boards."""
        with self._database.write() as session:
            count = select(func.count()).select_from(BoardRow).where(BoardRow.owner == owner)
            if (session.scalar(count) or 0) >= MOST:
                raise InvalidRequest(f"You have {MOST:,} boards already; delete some.", field="name")
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
            there = session.scalars(select(BoardPictureRow.image).where(BoardPictureRow.board == board))
            session.add_all(BoardPictureRow(board=board, image=image) for image in set(ids) - set(there))

    def remove(self, board: str, ids: Collection[str], owner: str) -> None:
        """Take pictures off the board; those that are not on it are passed over."""
        with self._database.write() as session:
            on = BoardPictureRow.board == _owned(session, board, owner).id
            session.execute(delete(BoardPictureRow).where(on, BoardPictureRow.image.in_(set(ids))))

    # ---- shared ones ----

    def share(self, board: str, users: Collection[str], owner: str) -> None:
        """Let these users see the board, and nobody else; `EVERYBODY` stands for all, none for nobody."""
        with self._database.write() as session:
            _owned(session, board, owner)
            session.execute(delete(BoardShareRow).where(BoardShareRow.board == board))
            session.add_all(BoardShareRow(board=board, user=user) for user in set(users))

    def seen_by(self, user: str) -> list[SharedBoard]:
        """Other users' boards that this one may see, in alphabetical order."""
        with self._database.read() as session:
            rows = session.execute(_counted(_is_seen_by(user))).all()
        found = [SharedBoard(id=row.id, name=row.name, count=row.count, owner=row.owner) for row in rows]
        return sorted(found, key=lambda board: board.name.casefold())

    def is_of(self, board: str, owner: str) -> bool:
        """Whether the board is this owner's, or nobody's."""
        with self._database.read() as session:
            row = session.get(BoardRow, board)
        return row is None or row.owner == owner

    def owner_of_seen(self, board: str, user: str) -> str:
        """Whose the shared board is. NotFound for one that this user may not see."""
        with self._database.read() as session:
            owner = session.scalar(select(BoardRow.owner).where(BoardRow.id == board, _is_seen_by(user)))
        if owner is None:
            raise NotFound("There is no such board.")
        return owner

    def owner_of_picture(self, image: str, user: str) -> str:
        """Whose the picture is that this user sees on a shared board. NotFound; also for what lies in the bin."""
        query = select(ImageRow.owner).join(BoardPictureRow, BoardPictureRow.image == ImageRow.id)
        query = query.join(BoardRow, (BoardRow.id == BoardPictureRow.board) & (BoardRow.owner == ImageRow.owner))
        with self._database.read() as session:
            owner = session.scalar(query.where(ImageRow.id == image, *SHOWN, _is_seen_by(user)).limit(1))
        if owner is None:
            raise NotFound("There is no such picture.")
        return owner

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


def _counted(which: ColumnElement[bool]) -> Select[Any]:
    """Rows (id, name, owner, count) of these boards."""
    counts = select(BoardRow.id, BoardRow.name, BoardRow.owner, func.count(ImageRow.id).label("count")).where(which)
    counts = counts.outerjoin(BoardPictureRow, BoardPictureRow.board == BoardRow.id)
    return counts.outerjoin(ImageRow, and_(ImageRow.id == BoardPictureRow.image, *SHOWN)).group_by(BoardRow.id)


def _is_seen_by(user: str) -> ColumnElement[bool]:
    """The condition "another one's board, which is shared with this user"."""
    shares = select(BoardShareRow.board).where(BoardShareRow.user.in_((user, EVERYBODY)))
    return and_(BoardRow.owner != user, BoardRow.id.in_(shares))


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
