"""/api/uploads: pictures to start from, masks, pictures that guide."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.datastructures import UploadFile
from starlette.responses import FileResponse

from backend import InvalidRequest, UserError
from backend.http.api.schemas import PROBLEMS, UploadTold
from backend.http.decode_threads import run_decoding
from backend.http.dependencies import FrontDoor

FILE: dict[str, str] = {"type": "string", "format": "binary"}
BODY = {"requestBody": {"required": True, "content": {
    "image/png": {"schema": FILE}, "image/jpeg": {"schema": FILE}, "image/webp": {"schema": FILE},
    "application/octet-stream": {"schema": FILE},
    "multipart/form-data": {"schema": {"type": "object", "properties": {"file": FILE}, "required": ["file"]}}}}}
router = APIRouter(prefix="/api", tags=["Uploads"], responses=PROBLEMS)


@router.post("/uploads", status_code=201, openapi_extra=BODY)
async def upload(
    door: FrontDoor, request: Request,
    mask: Annotated[bool, Query(description="Keep what the picture marks: white is painted anew.")] = False,
    alpha: Annotated[bool, Query(description="What is transparent stays so; otherwise it becomes white.")] = False,
) -> UploadTold:
    """Keeps a picture, sent as the body itself or as the one file of a form; its id is for `init_image`, `mask` and
    guides. The same picture has the same id."""
    data = await _sent(request)
    try:
        kept = await run_decoding(door.upload, data, mask=mask, alpha=alpha)
    except UserError as error:
        raise InvalidRequest(str(error), field="file") from None
    return UploadTold(id=kept.id, width=kept.width, height=kept.height)


@router.get("/uploads/{upload}", response_class=FileResponse, responses={200: {"content": {"image/png": {}}}})
def uploaded(door: FrontDoor, upload: str) -> FileResponse:
    """A picture that the caller sent, as it was kept: a PNG."""
    return FileResponse(door.uploaded(upload), media_type="image/png",
                        headers={"Cache-Control": "private, max-age=31536000, immutable"})


async def _sent(request: Request) -> bytes:
    """InvalidRequest for a form without a file."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return await request.body()
    async with request.form(max_files=1, max_fields=8) as form:
        for sent in form.values():
            if isinstance(sent, UploadFile):
                return await sent.read()
    raise InvalidRequest("must be a file of the form", field="file")
