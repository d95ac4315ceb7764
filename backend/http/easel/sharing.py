"""Links to pictures and plots: made and taken back by their owners, opened by whoever has one."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body
from starlette.requests import Request
from starlette.responses import Response

from backend.http.decode_threads import run_decoding
from backend.http.dependencies import EntireBackend, FrontDoor
from backend.http.easel.files import TYPES
from backend.image import thumbnail
from backend.store.share_links import ShareLink

THUMB = 512         # pixels of a cell's longer side on the page of a plot
PRIVATE = {"Cache-Control": "private, no-store", "X-Robots-Tag": "noindex, nofollow",
           "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}
router = APIRouter()


@router.post("/easel/links")
def create(
    door: FrontDoor, request: Request, kind: Annotated[str, Body()], id: Annotated[str, Body()],
    settings: Annotated[bool, Body()] = False, days: Annotated[float | None, Body()] = None,
) -> dict[str, Any]:
    """A link to the caller's picture or plot, by its id: `kind` is "picture" or "plot".

    `settings`: whether others see how it was made; `days`: after how many it ends, null for never.
    """
    return _told(door.sharing.create(kind, id, settings=settings, days=days), request)


@router.get("/easel/links")
def links(door: FrontDoor, request: Request, id: str = "") -> dict[str, Any]:
    """The caller's links that open something, newest first; with `id` those to this picture or plot."""
    open_to = door.backend.settings.share_links if door.backend.accounts.exist else "open"
    return {"links": [_told(link, request) for link in door.sharing.links(id)], "open_to": open_to}


@router.post("/easel/links/{token}/revoke")
def revoke(door: FrontDoor, token: str) -> dict[str, bool]:
    """The link opens nothing any more."""
    door.sharing.revoke(token)
    return {"ok": True}


@router.get("/share/{token}/picture", response_class=Response)
async def picture(backend: EntireBackend, token: str, cell: str = "", download: bool = False) -> Response:
    """The file behind a link, or that of a plot's cell like "2,0"; without its settings unless they are shared."""
    file = backend.shared.file(token, cell)
    data = await run_decoding(file.data)
    how = "attachment" if download else "inline"
    return Response(data, media_type=TYPES.get(file.path.suffix, "application/octet-stream"),
                    headers={**PRIVATE, "Content-Disposition": f'{how}; filename="{_plain(file.name)}"'})


@router.get("/share/{token}/thumb", response_class=Response)
async def thumb(backend: EntireBackend, token: str, cell: str = "") -> Response:
    """The same as a small WebP."""
    file = backend.shared.file(token, cell)
    data = await run_decoding(partial(thumbnail.thumbnail, file.path, THUMB))
    return Response(data, media_type="image/webp", headers=PRIVATE)


def _told(link: ShareLink, request: Request) -> dict[str, Any]:
    return {"token": link.token, "kind": link.kind, "id": link.target, "settings": link.settings,
            "url": f"{str(request.base_url).rstrip('/')}/share/{link.token}", "created": link.created.isoformat(),
            "expires": link.expires.isoformat() if link.expires else None}


def _plain(name: str) -> str:
    """A file name that stands in a header as it is."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_. ") else "_" for letter in name)
