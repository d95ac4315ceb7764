"""The pictures of a batch, found again by its folder and packed into one archive."""

from __future__ import annotations

import zipfile
from pathlib import PurePosixPath
from typing import IO

from sqlalchemy import select

from backend.errors import NotFound
from backend.files.atomic_write import temporary_file
from backend.files.write_errors import Purpose
from backend.store.database import Database
from backend.store.history import SHOWN
from backend.store.picture_files import Pictures
from backend.store.tables import ImageRow, JobRow, in_request

ARCHIVING = Purpose("The archive could not be made")


class BatchArchive:
    """Every method sees one owner's pictures only."""

    def __init__(self, database: Database, pictures: Pictures) -> None:
        self._database, self._pictures = database, pictures

    def paths(self, folder: str, owner: str) -> list[str]:
        """Below the outputs folder, in the order of saving."""
        query = select(ImageRow.path).join(JobRow, JobRow.id == ImageRow.job).order_by(ImageRow.number)
        theirs = in_request("output_folder") == folder
        query = query.where(ImageRow.owner == owner, *SHOWN, theirs)
        with self._database.read() as session:
            return list(session.scalars(query))

    def archive(self, folder: str, owner: str) -> IO[bytes]:
        """A ZIP of the batch, open at its start, gone when it is closed. Files that somebody has moved are left out.

        Raises NotFound when there is none of them, StorageError when the disk is full.
        """
        paths = self.paths(folder, owner) if folder else []
        files = [self._pictures.outputs / path for path in paths if not self._pictures.is_missing(path)]
        if not files:
            raise NotFound("There are no pictures of such a batch.")

        def packed(archive: IO[bytes]) -> None:
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as made:     # pictures are compressed already
                for file in files:
                    made.write(file, PurePosixPath(file.name))

        return temporary_file(packed, ARCHIVING)
