"""Picture files below the outputs folder: where they lie and how they are written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from PIL.Image import Image as PilImage

from backend.errors import NotFound, UserError
from backend.files.atomic_write import sweep_unfinished
from backend.files.path_containment import leads_inside
from backend.image import batch_names, file_names, infotext, save
from backend.image.file_names import GRID, MAX_PATH, USERS, WEBP_SIDE, Subject
from backend.image.grid import grid
from backend.image.read import read_metadata, read_pixels
from backend.messages import Picture
from backend.request.request import Request
from backend.store.history import PictureFile
from backend.store.jobs import Lease
from backend.store.view_types import LOCAL, Image, UserOf

SHORTEST_PATH = 160             # characters that a path may have below the folder of an owner with a long name
IsFree = Callable[[str], bool]

def _nobodys(path: str) -> bool:
    return True


class Pictures:
    """The outputs folder. What an account made lies in `users/<its name>/` below it."""

    def __init__(self, outputs: Path, user_of: UserOf) -> None:
        self.outputs, self._user_of = outputs, user_of

    def write(self, lease: Lease, picture: Picture, is_free: IsFree = _nobodys) -> PictureFile:
        """Save one picture with its settings; the same job and index always give the same file. Raises StorageError.

        `is_free` tells of a path whether no other picture has it.
        """
        request = lease.request.of_image(picture.index)
        size = picture.width, picture.height
        subject = self._subject(lease, picture.index, size, str(picture.facts.get("Model hash", "")))
        text = infotext.write(request, picture.facts)
        saved = self._saved(subject, save.to_image(picture), text, request, is_free, picture.notes)
        return replace(saved, unfinished=picture.unfinished)

    def write_grid(self, lease: Lease, images: Sequence[Image], paths: Sequence[str],
                   is_free: IsFree = _nobodys) -> PictureFile:
        """Save the grid of a job's `images`, whose files are `paths`, with the settings of the first.

        Raises NotFound, UserError or StorageError when a file cannot be read or the grid not be written.
        """
        first = images[0]
        size = max(image.width for image in images), max(image.height for image in images)
        pixels = (read_pixels(self.file(path)) for path in paths)
        whole = grid(pixels, len(images), size)
        subject = self._subject(lease, GRID, whole.size, str(infotext.parse(first.infotext).get("Model hash", "")))
        return self._saved(subject, whole, first.infotext, lease.request.of_image(first.index), is_free)

    def _saved(self, subject: Subject, image: PilImage, text: str, request: Request, is_free: IsFree,
               notes: tuple[str, ...] = ()) -> PictureFile:
        exact = json.dumps(request.to_json(), ensure_ascii=False)
        path = self._place(subject, exact, is_free)
        options = save.compression(request.replace(image_format=subject.ending))
        digest = save.save(image, self.outputs / path, text, exact, options)
        if subject.ending != request.image_format:
            notes = (*notes, f"Saved as {subject.ending.upper()}: WebP holds at most {WEBP_SIDE:,} pixels a side.")
        return PictureFile(index=subject.index, path=str(path), width=image.width, height=image.height,
                           seed=request.seed, infotext=text, format=subject.ending, digest=digest,
                           notes=notes)

    def is_missing(self, path: str) -> bool:
        """Whether somebody has moved or deleted the file at `path` below the folder, or its disk is not there.

        A link that leads out of the folder is no file of it.
        """
        there = lies_below(path) and os.path.isfile(self.outputs / path)        # Path.is_file may raise
        return not (there and leads_inside(self.outputs, self.outputs / path))

    def file(self, path: str) -> Path:
        """The file at `path` below the folder; NotFound when somebody has moved or deleted it."""
        if self.is_missing(path):
            raise NotFound("The picture's file is no longer there.")
        return self.outputs / path

    def size(self, path: str) -> int | None:
        """Bytes of the file at `path` below the folder; None when it is no longer there."""
        return None if self.is_missing(path) else (self.outputs / path).stat().st_size

    def sweep(self, before: float) -> None:
        """Delete files that were in the making at `before` (seconds since the epoch): their process has ended."""
        sweep_unfinished(self.outputs, before)

    def _subject(self, lease: Lease, index: int, size: tuple[int, int], model_hash: str) -> Subject:
        return Subject(request=lease.request, job=lease.job, created=lease.created, index=index,
                       user=self._user_of(lease.owner).name, folder=self.folder_of(lease.owner), model_hash=model_hash,
                       size=size)

    def folder_of(self, owner: str) -> str:
        """The folder of a user, given by the id, below the outputs folder; "" is that folder itself."""
        return "" if owner == LOCAL.id else f"{USERS}/{self._user_of(owner).folder}"

    def _place(self, subject: Subject, exact: str, is_free: IsFree) -> PurePosixPath:
        """Below the outputs folder. Results of a batch keep their sources' names; others go by their patterns."""
        folder, request = subject.folder, subject.request.replace(image_format=subject.ending)
        if not request.output_name:
            room = max(MAX_PATH - len(folder), SHORTEST_PATH)
            wanted = (PurePosixPath(folder, file_names.path(subject, room, whole_job=whole)) for whole in (False, True))
            return next(path for path in wanted if is_free(str(path)))
        if subject.index == GRID:
            request = request.of_image(0).replace(output_name=f"{request.output_name}-grid")
        wanted = (PurePosixPath(folder, place) for place in batch_names.places(request, max(subject.index, 0)))
        return next(path for path in wanted if is_free(str(path)) and self._may_be_written(path, exact))

    def _may_be_written(self, path: PurePosixPath, exact: str) -> bool:
        """Nothing is there, or this very picture, from before a crash."""
        try:
            return read_metadata(self.outputs / path).request_json == exact
        except NotFound:
            return True
        except UserError:
            return False

def lies_below(path: str) -> bool:
    """Whether a row's path leads to a place below the outputs folder, and not out of it."""
    parts = PurePosixPath(path)
    return not (parts.is_absolute() or ".." in parts.parts or "\\" in path or "\0" in path)


def account_of(path: str) -> str:
    """The name of the account in whose folder a file lies; "" for the local user's."""
    parts = PurePosixPath(path).parts
    return unquote(parts[1]) if len(parts) > 2 and parts[0] == USERS else ""
