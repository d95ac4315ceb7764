"""The form of an edit: its pictures and mask become uploads, and what is asked of them field values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from backend import FIELDS, Backend, Door, InvalidRequest, Problem, UserError
from backend.catalog.guide_files import KNOWS_FACES
from backend.catalog.model_file import IP_ADAPTER
from backend.image import upload_decoding
from backend.request.guide_modules import PICTURE_PROMPT
from backend.store.uploads import Upload

FIRST, FURTHER = IMAGES = ("image", "image[]")
MOST = 16                           # pictures of a form, as OpenAI has it
FREE = "Inpaint not masked"         # of `mask_mode`: what is transparent in OpenAI's masks is drawn anew
CELL = 8


@dataclass(frozen=True, slots=True)
class Form:
    """What was sent: texts by name, and files as they came. `further`: pictures beside the one that is edited."""

    texts: Mapping[str, Any]
    image: bytes
    further: tuple[bytes, ...] = ()
    mask: bytes | None = None


async def read_form(request: Request) -> Form:
    """A multipart form. InvalidRequest for no picture, too many, and files that have no meaning."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise InvalidRequest("The body must be a form with a file (multipart/form-data)", field="image")
    async with request.form(max_files=MOST + 4, max_fields=200) as form:
        sent = [(name, value) for name, value in form.multi_items() if isinstance(value, UploadFile)]
        texts = {name: value for name, value in form.multi_items() if isinstance(value, str)}
        pictures = [value for name, value in sent if name in IMAGES]
        if not 1 <= len(pictures) <= MOST:
            raise InvalidRequest(f"must be 1 to {MOST} pictures: the first is edited, the others guide", field=FIRST)
        if unknown := [name for name, _ in sent if name not in (*IMAGES, "mask")]:
            raise InvalidRequest("cannot be honoured here", field=unknown[0])
        image, *further = [await value.read() for value in pictures]
        masks = [await value.read() for name, value in sent if name == "mask"]
        if len(masks) > 1:
            raise InvalidRequest("must be one picture", field="mask")
        return Form(texts, image, tuple(further), *masks)


def start_from(door: Door, form: Form, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the fields for pictures, mask and size. InvalidRequest, StorageError. Decodes pictures."""
    picture, mask = _kept(door, form.image, FIRST), form.mask
    if mask is not None and not _is_transparent(mask, "mask"):
        raise InvalidRequest("must have transparent parts: they say what is drawn anew", field="mask")
    marks = mask if mask is not None else form.image if _is_transparent(form.image, FIRST) else None
    found: dict[str, Any] = {"init_image": picture.id, **_size(door.backend, picture, values),
                             **_guides(door, form.further, values)}
    if marks is None:
        return found
    kept = _kept(door, marks, "mask", mask=True)
    if (kept.width, kept.height) != (picture.width, picture.height):
        raise InvalidRequest("must be as large as the picture", field="mask")
    return {**found, "mask": kept.id, "mask_mode": FREE}


def _guides(door: Door, pictures: tuple[bytes, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    """Further pictures as prompts of one unit, by the first IP-Adapter that serves. InvalidRequest where none does."""
    if not pictures:
        return {}
    first, *others = [_kept(door, data, FURTHER).id for data in pictures]
    checkpoint, why = str(values.get("checkpoint", "")), ""
    for file in door.guides.models(checkpoint):
        if file.kind != IP_ADAPTER or file.facts.get("sees") in KNOWS_FACES:
            continue
        unit = {"enabled": True, "module": PICTURE_PROMPT, "model": file.key, "image": first, "more_images": others}
        if not (problems := door.guides.problems(checkpoint, [unit])):
            return {"guides": [*_own_guides(values), unit]}
        why = why or f" ({problems[0].message})"
    raise InvalidRequest(f"can be several pictures only where an IP-Adapter for the checkpoint shows them to it; "
                         f"there is none that serves{why}", field=FURTHER)


def of_pictures(error: InvalidRequest) -> InvalidRequest:
    """The same problems, those of a unit under the pictures that made it."""
    return InvalidRequest(problems=[Problem(one.message, FURTHER if one.field.startswith("guides[") else one.field)
                                    for one in error.problems])


def _own_guides(values: Mapping[str, Any]) -> list[Any]:
    """Those that the call itself brings; in a form they are JSON. InvalidRequest."""
    given = values.get("guides", [])
    try:
        units = json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError):
        units = None
    if not isinstance(units, list):
        raise InvalidRequest("must be a list", field="guides")
    return units


def _kept(door: Door, data: bytes, field: str, *, mask: bool = False) -> Upload:
    try:
        return door.upload(data, mask=mask)
    except UserError as error:
        raise InvalidRequest(str(error), field=field) from None


def _is_transparent(data: bytes, field: str) -> bool:
    try:
        return upload_decoding.with_alpha(data).mode == "RGBA"
    except UserError as error:
        raise InvalidRequest(str(error), field=field) from None


def _size(backend: Backend, picture: Upload, values: Mapping[str, Any]) -> dict[str, int]:
    """Where none is asked for: the picture's own, or as many pixels in its shape as the checkpoint usually draws."""
    if "width" in values:
        return {}
    usual = backend.defaults(values.get("checkpoint", ""))
    scale = min(1.0, math.sqrt(usual["width"] * usual["height"] / (picture.width * picture.height)))
    return {name: max(round(side * scale / CELL) * CELL, int(FIELDS[name].minimum or CELL))
            for name, side in (("width", picture.width), ("height", picture.height))}
