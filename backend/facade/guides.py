"""What a user's pictures may be guided by: models, preprocessors, whether they go together, and previews."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from PIL import Image

from backend.catalog import guide_files
from backend.catalog.model_file import CHECKPOINT, ModelFile
from backend.errors import EaselError, InvalidRequest, NotFound, Problem
from backend.facade.components import Components
from backend.messages import Preprocess, Preprocessed
from backend.request.guide_modules import KEY_POINTS, MODULES, POSES, Module
from backend.request.output_size import upscales
from backend.request.pose_points import read_people
from backend.request.record import Record
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

    def preferred(self, file: ModelFile) -> dict[str, Any]:
        """What a model wants of its units, by its side-car."""
        return guide_files.preferred(file)

    def is_prompt(self, model: str) -> bool:
        """Whether a model of this name is shown a picture as a prompt; True where there is none."""
        try:
            return guide_files.guide_file(model, self._parts.catalog).kind in guide_files.PROMPTS
        except NotFound:
            return True

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

    def preview(
        self, unit: Mapping[str, Any], size: tuple[int, int] | None = None, task: str = ""
    ) -> Upload:
        """What the unit's model would be shown, kept as an upload; at a height and width, or about the picture's own.

        By the name `task` it can be cancelled. InvalidRequest names the unit's fields. NotAllowed while no worker is up
        and when it is cancelled, WorkerLost when it ends meanwhile.
        """
        asked = self._asked(unit, size, task)
        return self._kept(self._parts.dispatcher.preprocessing.made(asked))

    def shown(self, unit: Record, job: Request) -> Upload:
        """What the model of one of a job's units was shown, in its first pass. Raises as `preview`."""
        picture = unit.image or job.init_image
        asked = self._asked({**unit, "image": picture}, (job.height, job.width))
        if not job.init_image or upscales(job):
            return self._kept(self._parts.dispatcher.preprocessing.made(asked))
        names = {picture, job.init_image, *([job.mask] if job.mask else [])}
        files = {name: self._parts.uploads.file(name, self._owner).read_bytes() for name in names}
        in_job = replace(asked, unit=unit, job=job, pictures=files)
        return self._kept(self._parts.dispatcher.preprocessing.made(in_job))

    def points(self, unit: Mapping[str, Any], size: tuple[int, int] | None = None) -> str:
        """The points of whoever is in the unit's picture, to be moved: see `pose_points`. Raises as `preview`."""
        if unit.get("module") not in (*POSES, KEY_POINTS):
            raise InvalidRequest("finds no points that could be moved", field="guides[0].module")
        asked = replace(self._asked(unit, size), find_points=True)
        return self._parts.dispatcher.preprocessing.made(asked).points

    def drawn_points(self, points: str, size: tuple[int, int]) -> Upload:
        """The picture of points at a height and width, kept as an upload. Raises as `preview`."""
        try:
            read_people(points)
        except ValueError as error:
            raise InvalidRequest(str(error), field="points") from error
        asked = Preprocess(self._task(uuid.uuid4().hex), Record({}), b"", size, points=points)
        return self._kept(self._parts.dispatcher.preprocessing.made(asked))

    def _asked(self, unit: Mapping[str, Any], size: tuple[int, int] | None, task: str = "") -> Preprocess:
        record = Request.parse({GUIDES: [dict(unit) | {"enabled": True}]}).guides[0]
        if not record.image:
            raise InvalidRequest("is missing: choose a picture for the unit", field="guides[0].image")
        if MODULES[record.module].kind != "hint":
            raise InvalidRequest("makes no picture that could be shown: the model looks at the unit's own",
                                 field="guides[0].module")
        file = self._parts.uploads.file(record.image, self._owner)
        own = self._parts.uploads.size(record.image, self._owner)
        shrunk = min(1.0, LARGEST / max(own))
        wanted = size or (max(round(own[1] * shrunk), 1), max(round(own[0] * shrunk), 1))
        files = guide_files.annotator_files([record], self._parts.catalog)
        return Preprocess(self._task(task or uuid.uuid4().hex), record, file.read_bytes(), wanted, files)

    def _kept(self, made: Preprocessed) -> Upload:
        return self._parts.uploads.keep(Image.frombytes("RGB", (made.width, made.height), made.pixels), self._owner)

    def cancel_preview(self, task: str) -> None:
        """Give up a preview of this user's that is being made; one that is over already stays as it is."""
        self._parts.dispatcher.preprocessing.cancel(self._task(task))

    def _task(self, name: str) -> str:
        return f"{self._owner}/{name}"
