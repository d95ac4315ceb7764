"""The form of an edit: its picture and mask become uploads, and what is asked of them field values."""

from __future__ import annotations

import math
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from backend import FIELDS, Backend, Door, InvalidRequest, UserError
from backend.image import upload_validation
from backend.store.uploads import Upload

IMAGES = ("image", "image[]")
FREE = "Inpaint not masked"         # of `mask_mode`: what is transparent in OpenAI's masks is drawn anew
CELL = 8

Form = tuple[dict[str, Any], dict[str, bytes]]


async def read_form(request: Request) -> Form:
    """Texts and files of a multipart form, by name. InvalidRequest for several pictures, or none."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise InvalidRequest("The body must be a form with a file (multipart/form-data)", field="image")
    async with request.form(max_files=4, max_fields=200) as form:
        sent = [(name, value) for name, value in form.multi_items() if isinstance(value, UploadFile)]
        texts = {name: value for name, value in form.multi_items() if isinstance(value, str)}
        pictures = [value for name, value in sent if name in IMAGES]
        if len(pictures) != 1:
            raise InvalidRequest("must be exactly one picture; Easel takes further ones as guides only", field="image")
        if unknown := [name for name, _ in sent if name not in (*IMAGES, "mask")]:
            raise InvalidRequest("cannot be honoured here", field=unknown[0])
        files = {"image": await pictures[0].read()}
        return texts, files | {name: await value.read() for name, value in sent if name == "mask"}


def start_from(door: Door, files: dict[str, bytes], values: dict[str, Any]) -> dict[str, Any]:
    """The values of the fields for picture, mask and size. InvalidRequest, StorageError. Decodes pictures."""
    picture = _kept(door, files["image"], "image")
    mask = files.get("mask")
    if mask is not None and not _is_transparent(mask, "mask"):
        raise InvalidRequest("must have transparent parts: they say what is drawn anew", field="mask")
    marks = mask if mask is not None else files["image"] if _is_transparent(files["image"], "image") else None
    found: dict[str, Any] = {"init_image": picture.id, **_size(door.backend, picture, values)}
    if marks is None:
        return found
    kept = _kept(door, marks, "mask", mask=True)
    if (kept.width, kept.height) != (picture.width, picture.height):
        raise InvalidRequest("must be as large as the picture", field="mask")
    return {**found, "mask": kept.id, "mask_mode": FREE}


def _kept(door: Door, data: bytes, field: str, *, mask: bool = False) -> Upload:
    try:
        return door.upload(data, mask=mask)
    except UserError as error:
        raise InvalidRequest(str(error), field=field) from None


def _is_transparent(data: bytes, field: str) -> bool:
    try:
        return upload_validation.with_alpha(data).mode == "RGBA"
    except UserError as error:
        raise InvalidRequest(str(error), field=field) from None


def _size(backend: Backend, picture: Upload, values: dict[str, Any]) -> dict[str, int]:
    """Where none is asked for: the picture's own, or as many pixels in its shape as the checkpoint usually draws."""
    if "width" in values:
        return {}
    usual = backend.defaults(values.get("checkpoint", ""))
    scale = min(1.0, math.sqrt(usual["width"] * usual["height"] / (picture.width * picture.height)))
    return {name: max(round(side * scale / CELL) * CELL, int(FIELDS[name].minimum or CELL))
            for name, side in (("width", picture.width), ("height", picture.height))}
