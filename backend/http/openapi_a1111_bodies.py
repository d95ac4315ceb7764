"""What AUTOMATIC1111's routes take, for the description of the API: bodies from the field table, in its own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from backend.http.a1111.extras import BY_NAME, FACTOR, SIDE, TO_SIZE
from backend.http.a1111.fields import (
    IMG2IMG,
    NAMED_AS_OPTIONS,
    READ_IMG2IMG,
    READ_TXT2IMG,
    TXT2IMG,
    WITHOUT_EFFECT,
)
from backend.http.a1111.option_table import ACTS, KEPT
from backend.http.a1111.options import BY_OVERRIDE
from backend.http.a1111.requests import IMG2IMG_DEFAULTS
from backend.http.openapi_schemas import KINDS
from backend.request.field import Field

Schema = dict[str, Any]

PICTURE: Schema = {"type": "string", "description": "A picture in base64, with or without a data: head."}
PLAIN: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}
ABOUT: dict[str, Schema] = {
    "init_images": {"type": "array", "items": PICTURE, "description": "What to start from; several are a batch."},
    "mask": PICTURE | {"description": "White is drawn anew, black stays."},
    "latent_mask": PICTURE | {"description": "Bounds what is drawn beside the mask."},
    "infotext": {"type": "string", "description": "A picture's settings; they fill in what is not given beside them."},
    "override_settings": {"type": "object", "description": "Options for this request alone."},
    "script_args": {"type": "array", "items": {}, "description": "In the order that script-info tells."},
    "alwayson_scripts": {"type": "object", "description": 'By name: {"args": [...]}.'},
    "force_task_id": {"type": "string", "description": "A name for this call, for /internal/progress and interrupt."},
    "script_name": {"type": "string"}, "restore_faces": {"type": "boolean"}, "comments": {"type": "object"},
}


def field_schema(field: Field) -> Schema:
    """A row of the field table as AUTOMATIC1111's JSON has it."""
    schema: Schema = {**KINDS[field.kind], "title": field.label, "default": field.default}
    if field.help:
        schema["description"] = field.help
    if field.api_index:
        return schema | {"type": "integer", "minimum": 0, "maximum": len(field.choices) - 1,
                         "default": field.choices.index(field.default),
                         "description": ", ".join(f"{number} {name}" for number, name in enumerate(field.choices))}
    if field.kind == "choice":
        schema["enum"] = list(field.choices)
    bounds = {"minimum": field.minimum, "maximum": field.maximum} if field.kind in ("int", "float", "seed") else {}
    return schema | {name: bound for name, bound in bounds.items() if bound is not None}


def _object(properties: Mapping[str, Schema], *required: str) -> Schema:
    return {"type": "object", "properties": dict(properties), **({"required": list(required)} if required else {})}


def _drawing(table: Mapping[str, Field], read: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Schema]:
    fields = {name: field_schema(field) for name, field in table.items()
              if not field.override or name in NAMED_AS_OPTIONS}
    for name, field in table.items():
        if field.name in defaults:
            value = defaults[field.name]
            fields[name]["default"] = field.choices.index(value) if field.api_index else value
    others = {name: ABOUT.get(name, _plain(value)) | {"default": value} for name, value in
              {**read, **WITHOUT_EFFECT}.items()}
    return {**fields, **others}


def _txt2img() -> Schema:
    return _object(_drawing(TXT2IMG, READ_TXT2IMG, {}))


def _img2img() -> Schema:
    return _object(_drawing(IMG2IMG, READ_IMG2IMG, IMG2IMG_DEFAULTS), "init_images")


def _extras() -> dict[str, Schema]:
    fields = {name: field_schema(field) for name, field in BY_NAME.items()}
    for name, field in BY_NAME.items():
        fields[name]["default"] = {"upscale_by": FACTOR, **dict.fromkeys(TO_SIZE, SIDE)}.get(field.name, field.default)
    mode = {"type": "integer", "enum": [0, 1], "default": 0, "description": "0 by a factor, 1 to a size"}
    return {**fields, "resize_mode": mode}


def _extra_single() -> Schema:
    return _object({**_extras(), "image": PICTURE}, "image")


def _extra_batch() -> Schema:
    entry = _object({"data": PICTURE, "name": {"type": "string"}}, "data", "name")
    return _object({**_extras(), "imageList": {"type": "array", "items": entry}}, "imageList")


def _options() -> Schema:
    fields = {name: field_schema(field) for name, field in BY_OVERRIDE.items()}
    return _object({**{name: _plain(value) for name, value in {**KEPT, **ACTS}.items()}, **fields})


def _png_info() -> Schema:
    return _object({"image": PICTURE}, "image")


def _task() -> Schema:
    return _object({"id_task": {"type": "string"}, "id_live_preview": {"type": "integer", "default": -1},
                    "live_preview": {"type": "boolean", "default": True}}, "id_task")


def _plain(value: Any) -> Schema:
    if isinstance(value, list):
        return {"type": "array", "items": {}, "default": value}
    if isinstance(value, dict):
        return {"type": "object", "default": value}
    kind = PLAIN.get(type(value))
    return {"type": kind, "default": value} if kind else {"default": value}


BODIES: dict[str, tuple[str, Callable[[], Schema]]] = {
    "/sdapi/v1/txt2img": ("TextToImageRequest", _txt2img),
    "/sdapi/v1/img2img": ("ImageToImageRequest", _img2img),
    "/sdapi/v1/extra-single-image": ("ExtrasSingleImageRequest", _extra_single),
    "/sdapi/v1/extra-batch-images": ("ExtrasBatchImagesRequest", _extra_batch),
    "/sdapi/v1/png-info": ("PNGInfoRequest", _png_info),
    "/sdapi/v1/options": ("Options", _options),
    "/internal/progress": ("TaskProgressRequest", _task),
}
