"""The bin: pictures that are hidden, and come back or are deleted for good.

A picture's file stays where it is while the picture lies in the bin: only the row changes, in one transaction, so that
no crash can part file and row, and a file is never lost on the way. Emptying deletes the file first and marks its row
afterwards: a crash between the two leaves a row in the bin without its file, which the next emptying clears away.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.errors import StorageError
from backend.store.database import Database
from backend.store.history import change
from backend.store.picture_files import Pictures, lies_below
from backend.store.tables import ImageRow, JobRow, in_request, now

AT_ONCE = 100       # pictures that are deleted in one transaction: other writers wait no longer than for these


class RecycleBin:
    """Every method touches one owner's pictures only. NotFound when one is unknown; then nothing is changed."""

    def __init__(self, database: Database, pictures: Pictures) -> None:
        self._database, self._pictures = database, pictures

    def put(self, ids: Collection[str], owner: str) -> None:
        """Hide these pictures; those that lie in the bin already stay there."""
        with self._database.write() as session:
            change(session, ids, owner, binned=func.coalesce(ImageRow.binned, now()))

    def restore(self, ids: Collection[str], owner: str) -> None:
        """Show these pictures again, at their old place."""
        with self._database.write() as session:
            change(session, ids, owner, binned=None)

    def empty(self, owner: str) -> int:
        """Delete what lies in the bin for good; how many pictures. Their rows stay, so that no job makes them again.

        Raises StorageError when files cannot be deleted; those stay in the bin, all others are gone.
        """
        deleted, last, refused = 0, 0, []
        while True:
            with self._database.write() as session:
                rows = _next(session, owner, last)
                failed = [error for row in rows if (error := self._delete(row))]
            if not rows:
                break
            deleted, last, refused = deleted + len(rows) - len(failed), rows[-1].number, refused + failed
        if refused:
            some = f"{len(refused):,} pictures" if len(refused) > 1 else "One picture"
            raise StorageError(f"{some} could not be deleted and may be found in the bin: {refused[0]}.")
        return deleted

    def forget_unfinished(self, before: datetime) -> int:
        """Delete half-drawn pictures that went into the bin by themselves before that moment; how many."""
        query = select(ImageRow).join(JobRow, JobRow.id == ImageRow.job)
        query = query.where(ImageRow.unfinished, ~ImageRow.deleted, ImageRow.binned < before,
                            func.coalesce(in_request("save_incomplete_images"), "0") == "0")
        with self._database.write() as session:
            return sum(not self._delete(row) for row in session.scalars(query.limit(AT_ONCE)))

    def _delete(self, row: ImageRow) -> str:
        """Why the file cannot be deleted, or ""."""
        try:
            if lies_below(row.path):
                Path(self._pictures.outputs / row.path).unlink(missing_ok=True)
        except OSError as error:
            return error.strerror or str(error)
        row.deleted, row.infotext = True, ""
        return ""


def _next(session: Session, owner: str, last: int) -> list[ImageRow]:
    query = select(ImageRow).where(ImageRow.owner == owner, ~ImageRow.deleted, ImageRow.binned.is_not(None))
    return list(session.scalars(query.where(ImageRow.number > last).order_by(ImageRow.number).limit(AT_ONCE)))
