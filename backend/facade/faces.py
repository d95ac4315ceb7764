"""How alike the people are in two of a user's pictures."""

from __future__ import annotations

from backend.catalog.face_files import ANTELOPE, BUFFALO, recognition_network
from backend.errors import InvalidRequest, NotFound
from backend.facade.components import Components
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
        try:
            network = recognition_network((BUFFALO, ANTELOPE), self._parts.catalog)
        except NotFound:
            return None, ""
        first, second = (self._parts.pictures.file(path).read_bytes() for path in paths)
        try:
            found = self._parts.dispatcher.preprocessing.compared((first, second), network)
        except InvalidRequest as error:
            return None, error.problems[0].message
        return found.similarity, ""
