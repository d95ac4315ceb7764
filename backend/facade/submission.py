"""From the values that somebody gives to the frozen request of a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.catalog import families, request_files
from backend.catalog.folder_scan import clean_name
from backend.catalog.model_file import CHECKPOINT, ModelFile
from backend.catalog.network_problems import Misfits, network_problems
from backend.errors import CheckpointError, Forbidden, InvalidRequest, NotFound, Problem
from backend.facade.components import Components
from backend.facade.picture_settings import PictureSettings
from backend.image import file_names
from backend.image.extras_text import extras_request
from backend.request.choices import AUTOMATIC_VAE, EXTRAS
from backend.request.cross_field_checks import together
from backend.request.output_size import grows, in_cells, rounding, settled
from backend.request.preferences import settings
from backend.request.request import Request
from backend.store.view_types import User


@dataclass(frozen=True, slots=True)
class Order:
    """A whole request, and what of it became otherwise than it was asked for, in sentences."""

    request: Request
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Base:
    """A request whose files are there, and its checkpoint; None where nothing is drawn."""

    request: Request
    checkpoint: ModelFile | None


class Submission:
    """Makes one user's requests."""

    def __init__(self, components: Components, user: User) -> None:
        """Raises Forbidden where the user may only look."""
        if not user.may_draw:
            raise Forbidden("This account may look at pictures and draws none.")
        self._parts, self._user = components, user
        self._library, self._misfits = components.prompt_library.as_(user), Misfits()

    def order(self, values: Mapping[str, Any]) -> Order:
        """A whole request from values by field name. InvalidRequest names every wrong field.

        What is missing takes the user's settings, then the checkpoint's defaults; random seeds are drawn, styles
        merged and wildcards filled in.
        """
        base = self.base(values)
        if not base.checkpoint:
            return Order(base.request)
        drawn = self.settled(self._with_vae(base.request, base.checkpoint), base.checkpoint)
        request = self.resolved(drawn.request, base.checkpoint)
        return Order(request, (*drawn.notes, *self._vae_notes(request, base.checkpoint)))

    def base(
        self, values: Mapping[str, Any], *, draw_seeds: bool = True, deferred: list[Problem] | None = None
    ) -> Base:
        """The request without what follows from its texts and sizes. InvalidRequest names every wrong field.

        `deferred` takes what is wrong only together, or with files and pictures, in the place of an error.
        """
        problems: list[Problem] = []
        own, edits = settings(self._parts.preferences.of(self._user.id)), values.get("process") == EXTRAS
        checkpoint = None if edits else self._checkpoint_of(values, problems)
        whole = deferred is None
        request = (self._to_edit(own | dict(values)) if edits
                   else self._to_draw(values, own, checkpoint, problems, whole))
        problems += (*file_names.problems(request), *self._parts.extensions.problems(request))
        later = problems if deferred is None else deferred
        later += [] if whole else together(request.values())
        request = self._named(request.with_seeds() if draw_seeds else request, checkpoint, later)
        if problems:
            raise InvalidRequest(problems=problems)
        return Base(request, checkpoint)

    def _named(self, request: Request, checkpoint: ModelFile | None, problems: list[Problem]) -> Request:
        """With the exact names of its files; `problems` are those found before."""
        problems += self._parts.uploads.check(request, self._user.id)
        try:
            request = request_files.resolved(request, self._parts.catalog)
            problems += request_files.misfits(request, checkpoint, self._parts.catalog) if checkpoint else ()
        except InvalidRequest as error:
            problems += error.problems
        return request

    def with_files(self, request: Request) -> Base:
        """A request of clean values with the exact names of its files. InvalidRequest names every field at fault."""
        problems: list[Problem] = []
        checkpoint = self._checkpoint_of({"checkpoint": request.checkpoint}, problems)
        found = self._named(request_files.with_vae_beside(request, self._parts.catalog), checkpoint, problems)
        if problems:
            raise InvalidRequest(problems=problems)
        return Base(found, checkpoint)

    def _with_vae(self, request: Request, checkpoint: ModelFile) -> Request:
        """With the VAE beside the checkpoint for "Automatic". InvalidRequest when that is of another build."""
        found = request_files.with_vae_beside(request, self._parts.catalog)
        problems = () if found is request else tuple(request_files.misfits(found, checkpoint, self._parts.catalog))
        if problems:
            raise InvalidRequest(problems=problems)
        return found

    def _vae_notes(self, request: Request, checkpoint: ModelFile) -> tuple[str, ...]:
        absent = request_files.absent_preference(checkpoint, self._parts.catalog)
        if not absent or request.vae != AUTOMATIC_VAE:
            return ()
        return (f"The VAE {clean_name(absent)} that {checkpoint.key} prefers is not in the models folders: its own was "
                "taken.",)

    def resolved(self, request: Request, checkpoint: ModelFile) -> Request:
        """With the texts of its pictures: styles merged, wildcards filled in. InvalidRequest names the field."""
        resolved = self._library.resolved(request)
        if problems := network_problems(resolved, self._parts.catalog, checkpoint, self._misfits):
            raise InvalidRequest(problems=problems)
        return resolved

    def settled(self, request: Request, checkpoint: ModelFile) -> Order:
        """With the size that it draws, which may follow from the picture that it starts from.

        InvalidRequest when a size is too large.
        """
        cell = families.cell(checkpoint.family)
        if grows(request):
            request = settled(request, self._parts.uploads.size(request.init_image, self._user.id), cell)
        whole = in_cells(request, cell)
        return Order(whole, rounding(request, whole))

    def _to_draw(
        self, values: Mapping[str, Any], own: Mapping[str, Any], checkpoint: ModelFile | None, problems: list[Problem],
        whole: bool,
    ) -> Request:
        """The request with its checkpoint's name and defaults; `problems` are those found before."""
        suits = request_files.defaults_here(checkpoint, self._parts.catalog) if checkpoint else {}
        defaults = {**suits, **own, "checkpoint": checkpoint.key} if checkpoint else own
        try:
            request = Request.parse(values, defaults, whole=whole)
        except InvalidRequest as error:
            raise InvalidRequest(problems=[*problems, *error.problems]) from None
        return request.replace(checkpoint=checkpoint.key) if checkpoint else request

    def _to_edit(self, values: Mapping[str, Any]) -> Request:
        text = values.get("source_text")
        source = PictureSettings(self._parts).values(text, self._library.as_theirs()) if isinstance(text, str) else {}
        return extras_request(values, source)

    def _checkpoint_of(self, values: Mapping[str, Any], problems: list[Problem]) -> ModelFile | None:
        """What is wrong with the checkpoint joins `problems`."""
        name = values.get("checkpoint", "")
        if not isinstance(name, str):
            return None         # Request.parse says so
        try:
            checkpoint = self._parts.catalog.find(CHECKPOINT, name)
        except (NotFound, CheckpointError) as error:
            problems += error.about("checkpoint")
            return None
        if checkpoint.problem:
            problems.append(Problem(checkpoint.problem, "checkpoint"))
        return checkpoint
