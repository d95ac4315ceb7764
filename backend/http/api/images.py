"""/api/images: what was made, by opaque ids, in the form that the client asks for."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, PlainTextResponse

from backend import Door, InvalidRequest, NotFound
from backend.http.api.schemas import PROBLEMS, Pictures, PictureSettings, picture
from backend.http.decode_threads import run_decoding
from backend.http.dependencies import FrontDoor
from backend.http.easel.files import FOREVER, TYPES, existing, small_copy
from backend.http.easel.jobs import from_outside
from backend.image import save
from backend.image.decode_budget import DECODING
from backend.image.read import open_picture

Form = Literal["png", "jpeg", "webp", "json", "infotext"]
MEDIA: dict[Form, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "json": "application/json",
                          "infotext": "text/plain"}
SAVED = {"png": "png", "jpg": "jpeg", "webp": "webp"}
SETTINGS = {"application/json": {"schema": {"$ref": "#/components/schemas/PictureSettings"}}}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {**{media: {} for media in MEDIA.values()}, **SETTINGS}},
    406: {"description": "There is no such form"},
}
router = APIRouter(prefix="/api", tags=["Images"], responses=PROBLEMS)


@router.get("/images")
def images(
    door: FrontDoor, limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    job: Annotated[str | None, Query(description="Of this job only.", max_length=100)] = None,
) -> Pictures:
    """The caller's pictures, newest first."""
    try:
        found = door.images(limit + 1, cursor or None, job)
    except NotFound:
        raise InvalidRequest("is not the cursor of a page", field="cursor") from None
    shown = [picture(image.summary()) for image in found[:limit]]
    return Pictures(images=shown, next_cursor=shown[-1].id if len(found) > limit else None)


@router.get("/images/{image}", responses=ANSWERS, response_class=Response)
async def result(
    door: FrontDoor, image: str, accept: Annotated[str, Header()] = "",
    form: Annotated[Form | None, Query(alias="format", description="Goes before the Accept header.")] = None,
    download: Annotated[bool, Query(description="Sent as an attachment.")] = False,
) -> Response:
    """The picture as it was saved, or as PNG, JPEG or WebP with its settings inside, or its settings as JSON or text:
    by `format`, else by the Accept header."""
    own = SAVED[(await run_in_threadpool(door.image, image)).format]
    wanted = form or negotiated(accept, own)
    if wanted == "json":
        told = await run_in_threadpool(settings, door, image)
        return Response(told.model_dump_json(), media_type="application/json", headers=_headers())
    if wanted == "infotext":
        return await run_in_threadpool(infotext, door, image)
    if wanted == own:
        return await run_in_threadpool(_file, door, image, download)
    return Response(await run_decoding(_converted, door, image, wanted), media_type=MEDIA[wanted],
                    headers={**FOREVER, **_headers()})


@router.get("/images/{image}/settings")
def settings(door: FrontDoor, image: str) -> PictureSettings:
    """Everything that made the picture."""
    found = door.image(image)
    return PictureSettings(**picture(found.summary()).model_dump(), infotext=found.infotext,
                           request=from_outside(found.request))


@router.get("/images/{image}/infotext", response_class=PlainTextResponse)
def infotext(door: FrontDoor, image: str) -> PlainTextResponse:
    """AUTOMATIC1111's text of the picture."""
    return PlainTextResponse(door.image(image).infotext.encode("utf-8", "replace"), headers=_headers())


@router.get("/images/{image}/thumbnail", response_class=Response, responses={200: {"content": {"image/webp": {}}}})
async def thumbnail(door: FrontDoor, image: str) -> Response:
    """A small WebP."""
    return Response(await run_decoding(small_copy, door, image), media_type="image/webp", headers=FOREVER)


@router.delete("/images/{image}", status_code=204)
def delete(door: FrontDoor, image: str) -> None:
    """Puts the picture into the bin, from where the page brings it back."""
    door.gallery.put_in_bin([image])


def negotiated(accept: str, own: str) -> str:
    """The form that an Accept header prefers; `own` is the saved file's, which goes first among equals. 406."""
    wanted = {media: quality for part in accept.split(",") if part.strip() for media, quality in [_preference(part)]}
    forms = [own, *(form for form in MEDIA if form != own)]
    found = {form: _quality(wanted, MEDIA[form]) for form in forms} if wanted else {own: 1.0}
    best = max(found, key=lambda form: found[form])
    if not found[best]:
        raise HTTPException(406, f"There are: {', '.join(MEDIA.values())}")
    return best


def _quality(wanted: dict[str, float], media: str) -> float:
    general = (media, f"{media.partition('/')[0]}/*", "*/*")
    return next((wanted[each] for each in general if each in wanted), 0.0)


def _preference(part: str) -> tuple[str, float]:
    media, *parameters = (each.strip().lower() for each in part.split(";"))
    told = next((each[2:] for each in parameters if each.startswith("q=")), "1")
    try:
        return media, float(told)
    except ValueError:
        return media, 0.0


def _file(door: Door, image: str, download: bool) -> FileResponse:
    path = existing(door.image_file(image))
    media, headers = TYPES.get(path.suffix, "application/octet-stream"), {**FOREVER, **_headers()}
    return FileResponse(path, media_type=media, filename=door.image(image).name, headers=headers,
                        content_disposition_type="attachment" if download else "inline")


def _converted(door: Door, image: str, form: str) -> bytes:
    found = door.image(image)
    with open_picture(existing(door.image_file(image))) as opened, DECODING.share(opened.size):
        return save.encode(opened, form.upper(), found.infotext, json.dumps(found.request))


def _headers() -> dict[str, str]:
    return {"Vary": "Accept"}
