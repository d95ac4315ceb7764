"""The models of a request's guides: which there are, and whether they go with its checkpoint, told from headers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from backend.catalog.adapters import shapes_of_network
from backend.catalog.families import FAMILIES
from backend.catalog.headers import Shapes
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import CONTROLNET, ModelFile
from backend.catalog.module_shapes import modules_of
from backend.errors import EaselError, Problem
from backend.request.guide_unit import NO_MODEL
from backend.request.record import Record, place
from backend.request.request import Request
from backend.request.rules import EXTRAS

GUIDES = "guides"
_LISTENS = re.compile(r"attn2[._]to_k(\.weight)?$")
_FIRST = ("input_blocks.0.0.weight", "conv_in.weight")
_PREFIX = "control_model."


def guide_models(request: Request) -> list[tuple[str, str]]:
    """(name, field) of the model of each unit that is on."""
    return [(unit.model, place(GUIDES, number, "model")) for number, unit in _on(request) if unit.model != NO_MODEL]


def with_exact_names(request: Request, names: Mapping[str, str]) -> Request:
    """The request with these names of models, by field."""
    units = [Record({**unit, "model": names.get(place(GUIDES, number, "model"), unit.model)})
             for number, unit in enumerate(request.guides)]
    return request.replace(guides=tuple(units)) if tuple(units) != request.guides else request


def guide_problems(request: Request, checkpoint: ModelFile, catalog: ModelCatalog) -> Iterator[Problem]:
    """What units of a resolved request lack, and models that cannot guide its checkpoint."""
    for number, unit in _on(request):
        if not unit.image and not request.init_image:
            yield Problem("is missing: choose a picture for the unit", place(GUIDES, number, "image"))
        if unit.start >= unit.end:
            yield Problem("must be before the ending step", place(GUIDES, number, "start"))
        if unit.model == NO_MODEL:
            yield Problem("is missing: choose a model for the unit", place(GUIDES, number, "model"))
            continue
        try:
            why = misfit(catalog.find(CONTROLNET, unit.model), checkpoint)
        except EaselError as error:
            yield from error.about(place(GUIDES, number, "model"))
        else:
            yield from [Problem(why, place(GUIDES, number, "model"))] if why else []


def misfit(file: ModelFile, checkpoint: ModelFile) -> str:
    """Why a model cannot guide a checkpoint, as a sentence; "" when it can. Raises CheckpointError."""
    named = shapes_of_network(Path(file.path))
    own = {name.removeprefix(_PREFIX): shape for name, shape in named.items()}
    unet = modules_of(checkpoint).get("unet", {})
    first = next((own[name][0] for name in _FIRST if own.get(name)), 0)
    if not unet or _widths(own) & _widths(unet) and first == unet.get("conv_in", (first,))[0]:
        return ""
    if file.family:
        return (f"{file.key} is made for {_label(file.family)} and cannot guide {checkpoint.key}, which is "
                f"{_label(checkpoint.family)}")
    return f"{file.key} is made for networks of another size and cannot guide {checkpoint.key}"


def _on(request: Request) -> list[tuple[int, Record]]:
    units = enumerate(request.guides) if request.process != EXTRAS else ()
    return [(number, unit) for number, unit in units if unit.enabled]


def _widths(shapes: Shapes) -> set[int]:
    """How wide the words are that the layers listen to."""
    return {shape[1] for name, shape in shapes.items() if len(shape) > 1 and _LISTENS.search(name)}


def _label(family: str) -> str:
    return FAMILIES[family].label if family in FAMILIES else "another family"
