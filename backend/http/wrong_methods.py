"""405 for a path of these doors that is there for another method, 404 for one that is not.

Without this such a request would reach the page, which is mounted over everything else and knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

EVERY = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def refusing(routers: Sequence[APIRouter]) -> APIRouter:
    """A router that stands behind these and answers what none of them does."""
    routes = [route for router in routers for route in router.routes if isinstance(route, Route)]
    behind = APIRouter()

    @behind.api_route("/api/{path:path}", methods=list(EVERY), include_in_schema=False)
    @behind.api_route("/v1/{path:path}", methods=list(EVERY), include_in_schema=False)
    @behind.api_route("/sdapi/{path:path}", methods=list(EVERY), include_in_schema=False)
    @behind.api_route("/internal/{path:path}", methods=list(EVERY), include_in_schema=False)
    async def refuse(request: Request, path: str) -> None:
        there = {method for route in routes if route.matches(request.scope)[0] == Match.PARTIAL
                 for method in route.methods or ()}
        if there:
            raise HTTPException(405, "Method Not Allowed", {"Allow": ", ".join(sorted(there))})
        raise HTTPException(404, "Not Found")

    return behind
