"""Links by which somebody shows a picture or a plot to others: a token that cannot be guessed, until it is taken back.

What is in the bin, deleted or gone is not seen by any link. The token is kept as it is, so that its owner can copy the
link again; it opens nothing but what it was made for.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

from sqlalchemy import delete, func, select

from backend.errors import InvalidRequest, NotFound
from backend.store.database import Database
from backend.store.history import SHOWN
from backend.store.plot_reading import plot_row
from backend.store.tables import ImageRow, PlotRow, ShareLinkRow, now

TOKEN_BYTES = 24            # 192 bits
MOST = 1000                 # links of one owner
LinkKind = Literal["picture", "plot"]
KINDS: tuple[LinkKind, ...] = ("picture", "plot")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareLink:
    """`settings`: whether it is seen how the thing was made. `expires` is None for one that is good until revoked."""

    token: str
    owner: str
    kind: LinkKind
    target: str
    settings: bool
    created: datetime
    expires: datetime | None


class ShareLinks:
    """Everybody's. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, owner: str, kind: LinkKind, target: str, *, settings: bool, expires: datetime | None) -> ShareLink:
        """NotFound for what the owner does not have; InvalidRequest for a moment that is over, and for too many."""
        if expires is not None and expires <= now():
            raise InvalidRequest("must be in the future", field="expires")
        with self._database.write() as session:
            if kind == "plot":
                plot_row(session, target, owner)
            elif not session.scalar(select(ImageRow.id).where(ImageRow.id == target, ImageRow.owner == owner, *SHOWN)):
                raise NotFound("There is no such picture.")
            count = select(func.count()).select_from(ShareLinkRow).where(ShareLinkRow.owner == owner)
            if (session.scalar(count) or 0) >= MOST:
                raise InvalidRequest(f"You have {MOST:,} links already; take some back.", field="id")
            row = ShareLinkRow(token=secrets.token_urlsafe(TOKEN_BYTES), owner=owner, kind=kind, target=target,
                               settings=settings, expires=expires, created=now())
            session.add(row)
            return _link(row)

    def of(self, owner: str, target: str = "") -> Sequence[ShareLink]:
        """The owner's links that still are good, newest first; with `target` only those to it."""
        query = select(ShareLinkRow).where(ShareLinkRow.owner == owner).order_by(ShareLinkRow.created.desc())
        if target:
            query = query.where(ShareLinkRow.target == target)
        with self._database.read() as session:
            links = [_link(row) for row in session.scalars(query)]
        return [link for link in links if not _is_over(link)]

    def revoke(self, token: str, owner: str) -> None:
        """From now on it opens nothing. NotFound for one that is not the owner's."""
        with self._database.write() as session:
            gone = delete(ShareLinkRow).where(ShareLinkRow.token == token, ShareLinkRow.owner == owner)
            if session.execute(gone.returning(ShareLinkRow.token)).first() is None:
                raise NotFound("There is no such link.")

    def find(self, token: str) -> ShareLink:
        """Anybody's link. NotFound for one that is not there, taken back, or over."""
        with self._database.read() as session:
            row = session.scalar(select(ShareLinkRow).where(ShareLinkRow.token == token))
            if row is None or _is_over(link := _link(row)):
                raise NotFound("This link is not there, or no longer.")
            return link

    def sweep(self) -> None:
        """Forget links that have expired, and those to pictures and plots that are deleted for good."""
        pictures, plots = select(ImageRow.id).where(~ImageRow.deleted), select(PlotRow.id)
        gone = ((ShareLinkRow.kind == "picture") & ShareLinkRow.target.not_in(pictures)
                | (ShareLinkRow.kind == "plot") & ShareLinkRow.target.not_in(plots) | (ShareLinkRow.expires <= now()))
        with self._database.write() as session:
            session.execute(delete(ShareLinkRow).where(gone))


def _link(row: ShareLinkRow) -> ShareLink:
    return ShareLink(token=row.token, owner=row.owner, kind=cast(LinkKind, row.kind), target=row.target,
                     settings=row.settings, created=row.created, expires=row.expires)


def _is_over(link: ShareLink) -> bool:
    return link.expires is not None and link.expires <= now()
