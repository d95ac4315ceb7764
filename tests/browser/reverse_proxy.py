"""A small reverse proxy, as nginx or Caddy is set up for Easel: it passes the path on and says who asks."""

from __future__ import annotations

import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

OWN = ("connection", "transfer-encoding", "content-length", "date", "server")


def reverse_proxy(upstream: str) -> Starlette:
    """Everything goes to `upstream`, an address without a slash at its end."""
    client = httpx.AsyncClient(base_url=upstream, timeout=None)

    async def forward(request: Request) -> StreamingResponse:
        headers = [(name, value) for name, value in request.headers.items() if name != "connection"]
        headers += [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "http")]
        asked = client.build_request(request.method, request.url.path, params=request.query_params, headers=headers,
                                     content=request.stream() if request.method == "POST" else None)
        answer = await client.send(asked, stream=True)
        kept = {name: value for name, value in answer.headers.items() if name not in OWN}
        return StreamingResponse(answer.aiter_raw(), answer.status_code, kept, background=BackgroundTask(answer.aclose))

    return Starlette(routes=[Route("/{path:path}", forward, methods=["GET", "POST", "PUT", "DELETE"])])
