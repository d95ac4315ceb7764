"""What a request may name: model files, samplers, schedules, and the table of all fields."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Query

from backend import FIELDS, Backend, Field, NotFound
from backend.catalog.kinds import KINDS
from backend.http.api.schemas import PROBLEMS, Fields, FieldTold, ModelList, ModelTold, SamplerTold, ScheduleTold, model
from backend.http.dependencies import EntireBackend
from backend.http.easel.jobs import SET_OUTSIDE
from backend.sampling.samplers import SAMPLERS
from backend.sampling.schedules import SCHEDULES

router = APIRouter(prefix="/api", tags=["Models"], responses=PROBLEMS)


@router.get("/models")
def models(
    backend: EntireBackend, refresh: Annotated[bool, Query(description="Look through the folders again.")] = False,
) -> ModelList:
    """The model files of all kinds."""
    return ModelList(models=[told for kind in KINDS for told in _of_kind(backend, kind, refresh)], kinds=list(KINDS))


@router.get("/models/{kind}")
def models_of_kind(backend: EntireBackend, kind: str, refresh: bool = False) -> ModelList:
    """Those of one kind: checkpoint, vae, lora, embedding, hypernetwork, controlnet, upscaler, ..."""
    if kind not in KINDS:
        raise NotFound(f"There is no such kind; one of: {', '.join(KINDS)}")
    return ModelList(models=_of_kind(backend, kind, refresh), kinds=list(KINDS))


@router.get("/samplers")
def samplers() -> list[SamplerTold]:
    """What the field `sampler` takes."""
    return [SamplerTold(name=row.label, aliases=list(row.aliases)) for row in SAMPLERS.values()]


@router.get("/schedules")
def schedules() -> list[ScheduleTold]:
    """What the field `schedule` takes, beside "Automatic", which is the sampler's own."""
    return [ScheduleTold(name=row.label, aliases=[row.name, *row.aliases]) for row in SCHEDULES.values()]


@router.get("/fields")
def fields(
    backend: EntireBackend,
    checkpoint: Annotated[str | None, Query(description="With the defaults that suit it; empty is the first.")] = None,
) -> Fields:
    """The field table: what a request may say, with types, defaults, bounds and help."""
    defaults = {} if checkpoint is None else backend.suits(backend.checkpoint(checkpoint))
    own = [field for field in FIELDS.values() if not field.internal or field.name in SET_OUTSIDE]
    return Fields(fields=_rows(own, defaults))


def _rows(fields: Iterable[Field], defaults: dict[str, object]) -> list[FieldTold]:
    return [_row(field, defaults.get(field.name, field.default)) for field in fields]


def _row(field: Field, default: object) -> FieldTold:
    return FieldTold(name=field.name, label=field.label, kind=field.kind, default=default, minimum=field.minimum,
                     maximum=field.maximum, choices=list(field.choices), help=field.help, group=field.group,
                     needs=list(field.needs), record=_rows(field.record.values(), {}) if field.record else None)


def _of_kind(backend: Backend, kind: str, refresh: bool) -> list[ModelTold]:
    usable = backend.can_use(kind)
    return [model(file, usable) for file in backend.model_files(kind, refresh)]
