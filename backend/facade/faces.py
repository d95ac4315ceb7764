"""Faces in a user's pictures: where they are, and how alike two people are."""

from __future__ import annotations

from pathlib import Path

from backend.catalog.face_files import ANTELOPE, BUFFALO, recognition_network
from backend.errors import InvalidRequest, NotFound
from backend.facade.components import Components
from backend.files.regular_files import read_regular
from backend.image.upload_decoding import MAX_BYTES
from backend.messages import FacesLocated
from backend.request.guide_unit import is_on
from backend.request.record import Record
from backend.store.face_folders import pictures_in
from backend.store.history import stored_request
from backend.store.view_types import User


class UserFaces:
    """One user's. Thread-safe."""

    def __init__(self, components: Components, user: User) -> None:
        self._parts, self._owner = components, user.id

    def similarity(self, left: str, right: str) -> tuple[float | None, str]:
        """Of the largest faces in two pictures, by their ids, -1..1; or None and why, "" where no network is here.

        NotFound for pictures that are not there. NotAllowed while no worker is up, WorkerLost when it ends meanwhile.
        """
        paths = [self._parts.history.path(image, self._owner) for image in (left, right)]
        drew = [unit["model"] for image in (left, right) for unit in self._guides(image) if is_on(unit)]
        try:        # whom a guide with networks of its own has drawn, others may not know
            network = recognition_network((BUFFALO, ANTELOPE), self._parts.catalog, *drew)
        except NotFound:
            return None, ""
        first, second = (self._parts.pictures.file(path).read_bytes() for path in paths)
        try:
            found = self._parts.dispatcher.preprocessing.compared((first, second), network)
        except InvalidRequest as error:
            return None, error.problems[0].message
        return found.similarity, ""

    def _guides(self, image: str) -> tuple[Record, ...]:
        return stored_request(self._parts.history.image(image, self._owner).request).guides

    def in_folder(self, named: str) -> tuple[str, ...]:
        """The pictures of a folder that the operator allows, by name, kept as uploads; their ids.

        InvalidRequest where it is none of those, or holds nothing that can be used. UserError for a broken picture.
        """
        files = pictures_in(named, self._parts.settings.face_folders)
        return tuple(self._parts.uploads.add(self._read(file), self._owner).id for file in files)

    @staticmethod
    def _read(file: Path) -> bytes:
        try:
            return read_regular(file, MAX_BYTES)
        except OSError as error:
            raise InvalidRequest(f"holds {file.name}, which cannot be read") from error

    def located(self, upload: str, wanted: str = BUFFALO, adapter: str = "") -> FacesLocated:
        """The faces of an uploaded picture, as the network `wanted` sees them, or another where that is not here; those
        of the IP-Adapter called `adapter` where it has its own.

        InvalidRequest says why there are none, or which file is missing; NotFound for a picture that is not there.
        NotAllowed while no worker is up, WorkerLost when it ends meanwhile.
        """
        picture = self._parts.uploads.file(upload, self._owner).read_bytes()
        others = [name for name in (BUFFALO, ANTELOPE) if name != wanted]
        try:
            network = recognition_network((wanted, *others), self._parts.catalog, adapter)
        except NotFound as error:
            raise InvalidRequest(f"Easel {error.problems[0].message}") from error
        return self._parts.dispatcher.preprocessing.located(picture, network)
