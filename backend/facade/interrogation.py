"""What is in a user's pictures, in words."""

from __future__ import annotations

from backend.catalog.captioners import MISSING
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import CAPTIONER, TAGGER, ModelFile
from backend.errors import NotFound
from backend.facade.components import Components
from backend.store.view_types import User


class UserDescriptions:
    """One user's. Thread-safe."""

    def __init__(self, components: Components, user: User) -> None:
        self._parts, self._owner = components, user.id

    def missing(self) -> str:
        """Why no picture can be described in a sentence, and what to put where; "" when one can."""
        try:
            _describer(CAPTIONER, self._parts.catalog)
        except NotFound as error:
            return error.problems[0].message
        return ""

    def caption(self, upload: str, *, beams: int = 1, shortest: int = 24, longest: int = 48) -> str:
        """An uploaded picture in a sentence of `shortest` to `longest` tokens, the best of so many beams.

        NotFound for a picture that is not there, or where no captioner is. NotAllowed while no worker is up,
        InvalidRequest when it fails, WorkerLost when it ends meanwhile.
        """
        picture, file = self._picture(upload), _describer(CAPTIONER, self._parts.catalog)
        asked = self._parts.dispatcher.preprocessing.described
        return asked(picture, file, beams=beams, shortest=shortest, longest=longest).caption

    def tags(self, upload: str, threshold: float) -> tuple[tuple[str, float], ...]:
        """Tags that a picture has with at least this certainty (0..1), the surest first. Raises as `caption`."""
        picture, file = self._picture(upload), _describer(TAGGER, self._parts.catalog)
        return self._parts.dispatcher.preprocessing.described(picture, file, threshold=threshold).tags

    def _picture(self, upload: str) -> bytes:
        return self._parts.uploads.file(upload, self._owner).read_bytes()


def _describer(kind: str, catalog: ModelCatalog) -> ModelFile:
    """The first of a kind that can be used. Raises NotFound with a whole sentence that says what to put where."""
    for file in catalog.usable(kind):
        return file
    broken = next((f" {file.key} cannot be used: {file.problem}." for file in catalog.listed(kind)), "")
    raise NotFound(MISSING[kind] + broken)
