"""Pictures, thumbnails, previews and uploads. Each is named by its opaque id; no path of the server goes out or in."""

from __future__ import annotations

import os
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Body, Depends, Query
from PIL import Image as Pillow
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from backend import FIELDS, Image
from backend.errors import InvalidRequest, NotFound, UserError
from backend.http.decode_threads import run_decoding
from backend.http.dependencies import FrontDoor
from backend.image import thumbnail, upload_decoding
from backend.image.batch_names import component
from backend.image.decode_budget import DECODING
from backend.request.record import spread
from backend.store.painted_layers import PaintedLayer
from backend.store.view_types import FileSettings

THUMB = 320         # pixels of a thumbnail's longer side
PIECE = 2**18       # bytes of an archive that are sent at once
THUMBS = 512        # thumbnails kept in memory, about 20 kB each
LONGEST_TEXT = 1_000_000    # letters of a settings text that somebody pastes
PAINT = (255, 110, 40)      # how the page shows a mask over its picture
PAINT_ALPHA = 153
TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
FOREVER = {
    "Cache-Control": "private, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}
SettingsText = Annotated[str, Body(embed=True, max_length=LONGEST_TEXT)]
router = APIRouter(prefix="/easel")


@router.get("/images")
def images(
    door: FrontDoor, limit: Annotated[int, Query(ge=1, le=500)] = 60, before: str | None = None
) -> dict[str, Any]:
    """The caller's pictures, newest first; `before` is the id of the last one already known."""
    return {"images": [image.summary() for image in door.images(limit=limit, before=before or None)]}


@router.get("/image/{image}")
def picture(door: FrontDoor, image: str, download: bool = False) -> FileResponse:
    """The file as it was saved, with its settings inside."""
    path = existing(door.image_file(image))
    return FileResponse(
        path,
        media_type=TYPES.get(path.suffix, "application/octet-stream"),
        filename=door.image(image).name,
        content_disposition_type="attachment" if download else "inline",
        headers=FOREVER,
    )


@router.get("/image/{image}/thumb")
async def thumb(door: FrontDoor, image: str) -> Response:
    """A small WebP of the picture."""
    return Response(await run_decoding(small_copy, door, image), media_type="image/webp", headers=FOREVER)


@router.get("/image/{image}/info")
def info(door: FrontDoor, image: str) -> dict[str, Any]:
    """Everything that made the picture, and the values that make it again; how long its job took, its boards."""
    found = door.image(image)
    time_taken = None if found.shared_by else door.gallery.time_taken(image)
    return {**row(found, door.gallery.is_missing(image)), "infotext": found.infotext,
            "request": spread(found.request, FIELDS), "time_taken": asdict(time_taken) if time_taken else None,
            "boards": door.gallery.boards_with(image)}


@router.get("/batch/{folder}.zip")
def batch(door: FrontDoor, folder: str) -> StreamingResponse:
    """The pictures of a batch, under the names of the files that they were made from."""
    archive = door.archive(folder)
    name = quote(f"{component(folder)}.zip")
    headers = {"Content-Disposition": f"attachment; filename*=utf-8''{name}", "Cache-Control": "no-store"}
    pieces, closing = iter(partial(archive.read, PIECE), b""), BackgroundTask(archive.close)
    return StreamingResponse(pieces, media_type="application/zip", headers=headers, background=closing)


@router.get("/preview/{job}")
def preview(door: FrontDoor, job: str) -> Response:
    """The newest rough picture of a running job; 204 for one that has none yet, or no longer: a page may ask late."""
    jpeg = door.preview(job)
    return Response(jpeg, 200 if jpeg else 204, {"Cache-Control": "no-store"}, "image/jpeg")


@router.post("/upload")
async def upload(door: FrontDoor, request: Request, mask: bool = False, alpha: bool = False) -> dict[str, Any]:
    """Keeps the picture in the body, or with `mask` what it marks; the id is for `init_image` and `mask`.

    `alpha`, for Extras: what is transparent stays so.
    """
    try:
        kept = await run_decoding(door.upload, await request.body(), mask=mask, alpha=alpha)
    except UserError as error:
        raise InvalidRequest(str(error), field="mask" if mask else "init_image") from None
    return {"id": kept.id, "width": kept.width, "height": kept.height}


@router.post("/upload/{over}/paint")
async def paint(
    door: FrontDoor, layer: Annotated[PaintedLayer, Depends()], request: Request
) -> dict[str, str]:
    """Keeps what is painted on the picture `over`: the body is a PNG, a cut-out whose corner lies at `left`, `top`."""
    return {"id": await run_decoding(door.paint, await request.body(), layer)}


@router.post("/upload/{over}/sketch")
async def sketch(door: FrontDoor, over: str, paint: Annotated[str, Body(embed=True)]) -> dict[str, str]:
    """The picture `over` with its paint as one picture to start from, and the mask of what the paint changed."""
    picture, mask = await run_decoding(door.sketch, over, paint)
    return {"init_image": picture, "mask": mask}


@router.post("/settings")
async def settings(door: FrontDoor, request: Request) -> dict[str, Any]:
    """What the picture in the body says of how it was made; nothing of it is kept."""
    return _told(await run_decoding(door.read_settings, await request.body()))


@router.post("/settings/text")
def settings_of_text(door: FrontDoor, text: SettingsText) -> dict[str, Any]:
    """The same of a settings text alone."""
    return _told(door.read_text(text))


@router.get("/upload/{upload}")
@router.get("/upload/{upload}.png")     # the editor knows a picture by its ending; the lower route is matched first
def uploaded(door: FrontDoor, upload: str) -> FileResponse:
    """A picture that the caller sent, as it was kept."""
    return FileResponse(door.uploaded(upload), media_type="image/png", headers=FOREVER)


@router.get("/upload/{upload}/layer.png")
async def layer(door: FrontDoor, upload: str, over: str) -> Response:
    """A mask as see-through paint, at the size of the picture `over` which it lies."""
    return Response(await run_decoding(_layer, door, upload, over), media_type="image/png", headers=FOREVER)


def _told(found: FileSettings) -> dict[str, Any]:
    return {"infotext": found.infotext, "values": spread(found.values, FIELDS), "missing": found.missing,
            "plot": found.plot}


def row(image: Image, missing: bool) -> dict[str, Any]:
    """What the history shows of a picture."""
    return {**image.summary(), "binned": image.binned, "missing": missing,
            "model": image.model, "sampler": image.sampler}


def _layer(door: FrontDoor, upload: str, over: str) -> bytes:
    files = door.uploaded(over), door.uploaded(upload)
    with Pillow.open(files[0]) as picture, Pillow.open(files[1]) as mask, DECODING.share(picture.size):
        levels = mask.convert("L").resize(picture.size, Pillow.Resampling.NEAREST)
        paint = Pillow.new("RGB", levels.size, PAINT)
        paint.putalpha(levels.point(lambda level: PAINT_ALPHA if level >= 128 else 0))
        return upload_decoding.png(paint)


def small_copy(door: FrontDoor, image: str) -> bytes:
    path = existing(door.image_file(image))
    return _thumbnail(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=THUMBS)
def _thumbnail(path: Path, changed: int) -> bytes:
    """WebP bytes of at most THUMB pixels; `changed` makes a replaced file a new one."""
    return thumbnail.thumbnail(path, THUMB)


def existing(path: Path) -> Path:
    """The path of a file that can be read. NotFound."""
    if not path.is_file():
        raise NotFound("its file is no longer there", field="image")
    if not os.access(path, os.R_OK):
        raise NotFound("its file may not be read; give Easel the right to", field="image")
    return path
