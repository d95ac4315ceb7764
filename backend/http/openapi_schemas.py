"""JSON schemas of the field table under its own names, as /api and /v1 take it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from backend.request.field import PICTURE_ID, Field
from backend.request.record import plain

Schema = dict[str, Any]

KINDS: dict[str, Schema] = {
    "text": {"type": "string"}, "texts": {"type": "array", "items": {"type": "string"}}, "int": {"type": "integer"},
    "seed": {"type": "integer"}, "float": {"type": "number"}, "bool": {"type": "boolean"}, "choice": {"type": "string"},
    "checkpoint": {"type": "string"}, "second_checkpoint": {"type": "string"}, "upscaler": {"type": "string"},
    "vae": {"type": "string"}, "picture": {"type": "string"}, "guide_model": {"type": "string"},
    "object_detector": {"type": "string"}, "face_model": {"type": "string"},
    "pictures": {"type": "array", "items": {"type": "string"}},
    "records": {"type": "array", "items": {"type": "object"}},
}


def own_schema(field: Field) -> Schema:
    """A row under its own name: type, default, bounds, choices, help."""
    schema: Schema = {**KINDS[field.kind], "title": field.label, "default": plain(field.default)}
    if field.help:
        schema["description"] = field.help
    if field.kind == "choice":
        schema["enum"] = list(field.choices)
    if field.kind == "picture":
        schema |= {"pattern": f"^({PICTURE_ID.pattern})?$", "description": f"{field.help} The id of an upload.".strip()}
    if field.kind == "records" and field.record:
        schema["items"] = object_schema(field.record.values())
        schema |= {"maxItems": field.places} if field.places is not None else {}
    elif field.kind in ("int", "float", "seed"):
        bounds = {"minimum": field.minimum, "maximum": field.maximum}
        schema |= {name: bound for name, bound in bounds.items() if bound is not None}
    return schema | ({"type": [schema["type"], "null"]} if field.default is None else {})


def object_schema(fields: Iterable[Field], more: Mapping[str, Schema] | None = None) -> Schema:
    """An object that has nothing but these."""
    properties = {field.name: own_schema(field) for field in fields} | dict(more or {})
    return {"type": "object", "properties": properties, "additionalProperties": False}
