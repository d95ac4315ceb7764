"""Axes from the field table: every field with a label for plots is one, those inside records too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from backend.catalog.guide_files import KINDS as GUIDES
from backend.catalog.model_file import CHECKPOINT, FACE_MODEL, OBJECT_DETECTOR, UPSCALER
from backend.plots.axis import (
    IMG2IMG,
    TABS,
    TXT2IMG,
    Axis,
    AxisCost,
    AxisKind,
    AxisRecord,
    Point,
    Sources,
    WrongAxis,
    shown,
)
from backend.plots.named_files import named_file
from backend.plots.named_pictures import AND, named_picture, shown_picture
from backend.request.choices import NO_UPSCALER
from backend.request.field import Field, clean
from backend.request.record import Record

KINDS: Mapping[str, AxisKind] = {
    "int": "int", "seed": "int", "float": "float", "text": "text", "texts": "text", "choice": "choice", "bool": "bool",
    "checkpoint": "file", "second_checkpoint": "file", "upscaler": "file", "vae": "file",
    "guide_model": "text", "object_detector": "text", "face_model": "file", "picture": "picture", "pictures": "picture",
}
FILE_KINDS = {"checkpoint": CHECKPOINT, "second_checkpoint": CHECKPOINT, "upscaler": UPSCALER, "vae": "vae",
              "face_model": FACE_MODEL}
OF_TABS = {"hires": (TXT2IMG,), "img2img": TABS, "img2img_extra": (IMG2IMG,), "inpaint": (IMG2IMG,),
           "loopback": (IMG2IMG,), "outpaint": (IMG2IMG,), "sd_upscale": (IMG2IMG,)}
GROUPS = {"prompt": "Prompt", "styles": "Prompt", "sampling": "Sampling", "guidance": "Sampling", "size": "Size",
          "seed": "Seed", "seed_extra": "Seed", "hires": "Hires fix", "refiner": "Refiner", "face_swap": "Face swap"}
"""Headings of a menu of axes by the group of their field."""
MODELS, FROM_PICTURE, MORE = "Models", "From a picture", "More settings"
UNSCALED = "Lanczos"        # what AUTOMATIC1111's upscaler "None" does in hires fix
YES, NO = ("true", "yes", "y", "on", "1"), ("false", "no", "n", "off", "0")
ALIASES = {"Sigma Churn": ("Sigma churn",), "CFG Scale": ("CFG scale",), "RNG source": ("Random number source",)}


def field_axes(fields: Mapping[str, Field]) -> Iterator[Axis]:
    """In the order of the table. Of fields that are lists of records: the axes of the first record."""
    for field in fields.values():
        if field.xyz and field.kind in KINDS and not field.internal:
            yield _axis(field, lambda _, value, name=field.name: {name: value})
        for inner in (field.record or {}).values():
            if inner.xyz and inner.kind in KINDS:
                yield _record_axis(field, inner, 0)


def record_axis(fields: Mapping[str, Field], label: str) -> Axis | None:
    """The axis of any of the records that a field may have, by its label in any case: "Unit 12 weight"."""
    for field in fields.values():
        form = rf"{re.escape(_name(field))} ([1-9]\d{{0,2}}) (.+)"
        found = re.fullmatch(form, label.strip(), re.I) if field.record else None
        if found and int(found[1]) <= (field.places or 1):
            known = {inner.xyz.casefold(): inner for inner in (field.record or {}).values() if inner.kind in KINDS}
            inner = known.get(found[2].casefold())
            return _record_axis(field, inner, int(found[1]) - 1) if inner else None
    return None


def _record_axis(field: Field, inner: Field, index: int) -> Axis:
    """By the field's own word for a record if it has one: "Unit 1 weight"."""
    of_record = f"{_name(field)} {index + 1}"
    axis = _axis(inner, _in_record(field.name, inner.name, index, of_record))
    record = AxisRecord(field.name, _name(field), index, field.places or 1)
    return replace(axis, label=f"{of_record} {inner.xyz}", fields=(field.name,), group=of_record, aliases=(),
                   tabs=OF_TABS.get(field.group, TABS), record=record)


def _name(field: Field) -> str:
    return field.xyz or field.label


def _in_record(field: str, inner: str, index: int, label: str) -> Callable[[Mapping[str, Any], Any], dict[str, Any]]:
    def change(values: Mapping[str, Any], value: Any) -> dict[str, Any]:
        records = list(values[field])
        if index >= len(records):
            raise WrongAxis(f"has nothing to change: {label} is not in use")
        records[index] = Record({**records[index], inner: value})
        return {field: tuple(records)}

    return change


def _axis(field: Field, change: Callable[[Mapping[str, Any], Any], dict[str, Any]]) -> Axis:
    """Of a field by itself; `change` puts a value of it into a request."""
    is_picture = KINDS[field.kind] == "picture"

    def changed(values: Mapping[str, Any], point: Point) -> dict[str, Any]:
        return change(values, _as_kept(field, point.value[1] if is_picture else point.value))

    def checked(value: Any, sources: Sources) -> Any:
        if field.kind == "texts":
            return "".join(clean(field, [value]))
        return named_picture(value, field.kind == "pictures") if is_picture else field_value(field, value, sources)

    tabs = (IMG2IMG,) if is_picture and field.group == "img2img" else OF_TABS.get(field.group, TABS)
    return Axis(field.xyz, KINDS[field.kind], changed, (field.name,), check=checked, choices=_choices(field),
                show=shown_picture if is_picture else shown, cost=_cost(field), help=field.help,
                tabs=tabs, group=_group(field), aliases=ALIASES.get(field.xyz, ()))


def _as_kept(field: Field, value: Any) -> Any:
    """An axis' value as the request has it: a list of texts is one text of the axis, or none."""
    if field.kind == "pictures":
        return tuple(value.split(AND))
    if field.kind == "texts":
        return (value,) if value else ()
    return value


def _group(field: Field) -> str:
    if field.name in ("checkpoint", "vae"):
        return MODELS
    return GROUPS.get(field.group) or (FROM_PICTURE if field.group in OF_TABS else MORE)


def _cost(field: Field) -> AxisCost:
    return "hires" if field.group == "hires" and field.xyz_cost == "step" else field.xyz_cost


def _choices(field: Field) -> Callable[[Sources], Sequence[str]] | None:
    if field.kind in FILE_KINDS:
        kind = FILE_KINDS[field.kind]
        return lambda sources: [*field.choices, *(file.key for file in sources.catalog.usable(kind))]
    if field.kind == "bool":
        return lambda sources: ["True", "False"]
    if field.kind == "guide_model":
        return lambda sources: [*field.choices, *(file.key for kind in GUIDES for file in sources.catalog.usable(kind))]
    if field.kind == "object_detector":
        return lambda sources: [*field.choices, *(file.key for file in sources.catalog.usable(OBJECT_DETECTOR))]
    return (lambda sources: list(field.choices)) if field.kind == "choice" else None


def field_value(field: Field, value: Any, sources: Sources) -> Any:
    """Raises ValueError: the rest of a sentence that begins with the value."""
    is_none = field.kind == "upscaler" and str(value).strip().casefold() == NO_UPSCALER.casefold()
    if is_none and NO_UPSCALER not in field.choices:
        return UNSCALED
    if field.kind in FILE_KINDS:
        return named_file(FILE_KINDS[field.kind], str(value), field.choices, sources)
    if field.kind == "bool":
        word = str(value).strip().casefold()
        if word not in (*YES, *NO):
            raise ValueError("must be True or False")
        return word in YES
    return clean(field, value)
