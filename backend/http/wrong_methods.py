"""405 for a path of AUTOMATIC1111's that is there for another method, 404 for one that is not.

Without this such a request would reach the page, which is mounted over everything else and knows nothing of it.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

EVERY = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

router = APIRouter()


@router.api_route("/sdapi/{path:path}", methods=list(EVERY), include_in_schema=False)
@router.api_route("/internal/{path:path}", methods=list(EVERY), include_in_schema=False)
async def wrong_method(request: Request, path: str) -> None:
    """Raises HTTPException."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    there = {method for route in routes if route.matches(request.scope)[0] == Match.PARTIAL
             for method in route.methods or ()}
    if there:
        raise HTTPException(405, "Method Not Allowed", {"Allow": ", ".join(sorted(there))})
    raise HTTPException(404, "Not Found")
