"""What a user's pictures may be guided by: models, preprocessors, whether they go together, and previews."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image

from backend.catalog import guide_files
from backend.catalog.model_file import CHECKPOINT, ModelFile
from backend.errors import EaselError, InvalidRequest, NotFound, Problem
from backend.facade.components import Components
from backend.request.guide_modules import Module
from backend.request.request import Request
from backend.store.uploads import Upload
from backend.store.view_types import User

LARGEST = 2048          # pixels of a preview's longer side
GUIDES = guide_files.GUIDES


class UserGuides:
    """One user's. Thread-safe."""

    def __init__(self, components: Components, user: User) -> None:
        self._parts, self._owner = components, user.id

    def models(self, checkpoint: str = "", refresh: bool = False) -> list[ModelFile]:
        """The models that can guide a checkpoint, or all of them where there is no such one."""
        catalog = self._parts.catalog
        for kind in guide_files.KINDS if refresh else ():
            catalog.scan(kind)
        files = [file for kind in guide_files.KINDS for file in catalog.usable(kind)]
        try:
            chosen = catalog.find(CHECKPOINT, checkpoint)
            return [file for file in files if not guide_files.misfit(file, chosen)]
        except EaselError:
            return files

    def missing(self, module: Module) -> str:
        """Which file of a preprocessor goes where, as a sentence; "" when all are there."""
        return guide_files.missing_files(module, self._parts.catalog)

    def problems(self, checkpoint: str, units: Any) -> list[Problem]:
        """What is wrong with units as they are being filled in; of those that are on."""
        try:
            request = Request.parse({GUIDES: units, "checkpoint": checkpoint})
            chosen = self._parts.catalog.find(CHECKPOINT, checkpoint)
            return list(guide_files.guide_problems(request, chosen, self._parts.catalog))
        except InvalidRequest as error:
            return list(error.problems)
        except NotFound:
            return []

    def preview(self, unit: Mapping[str, Any], size: tuple[int, int] | None = None) -> Upload:
        """What the unit's model would be shown, kept as an upload; at a height and width, or about the picture's own.

        InvalidRequest names the unit's fields. NotAllowed while no worker is up, WorkerLost when it ends meanwhile.
        """
        record = Request.parse({GUIDES: [dict(unit) | {"enabled": True}]}).guides[0]
        if not record.image:
            raise InvalidRequest("is missing: choose a picture for the unit", field="guides[0].image")
        file = self._parts.uploads.file(record.image, self._owner)
        own = self._parts.uploads.size(record.image, self._owner)
        shrunk = min(1.0, LARGEST / max(own))
        wanted = size or (round(own[1] * shrunk), round(own[0] * shrunk))
        files = guide_files.annotator_files([record], self._parts.catalog)
        made = self._parts.dispatcher.preprocessing.made(record, file.read_bytes(), wanted, files)
        return self._parts.uploads.keep(Image.frombytes("RGB", (made.width, made.height), made.pixels), self._owner)
