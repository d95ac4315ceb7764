"""Errors in the shape that a door's clients know: problem+json for /api, OpenAI's for /v1.

Plain ASGI around the guard, so that its refusals have the shape too. All other routes keep AUTOMATIC1111's keys.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Told = Mapping[str, Any]        # an error as `errors.answer` and the guard tell it
LONGEST = 2**20                 # bytes of an error that is told anew


def problem_details(status: int, path: str, told: Told) -> dict[str, Any]:
    """RFC 9457, with one of `errors` for each wrong field."""
    errors = [{"field": one["field"], "message": one["message"]} for one in _problems(told) if one["field"]]
    return {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": _sentence(told),
            "instance": path, "errors": errors}


def openai_error(status: int, path: str, told: Told) -> dict[str, Any]:
    """As OpenAI's API tells errors; `param` is the first field that is wrong."""
    kinds = {401: ("authentication_error", "invalid_api_key"), 403: ("permission_error", "forbidden"),
             404: ("invalid_request_error", "not_found"), 429: ("rate_limit_error", "rate_limit_exceeded")}
    usual = ("invalid_request_error", "invalid_value") if status < 500 else ("server_error", "server_error")
    kind, code = kinds.get(status, usual)
    param = next((one["field"] for one in _problems(told) if one["field"]), None)
    code = "model_not_found" if (status, param) == (404, "model") else code
    return {"error": {"message": _sentence(told), "type": kind, "param": param, "code": code}}


SHAPES: Mapping[str, tuple[Callable[[int, str, Told], dict[str, Any]], str]] = {
    "/api/": (problem_details, "application/problem+json"), "/v1/": (openai_error, "application/json"),
}
"""By the beginning of a path: what is made of an error there, and its media type."""


STATUSES = {"/v1/": {422: 400}}     # OpenAI's clients know no 422 for what is wrong in a request


def shaped_status(path: str, status: int) -> int:
    """What the status becomes."""
    return next((changed.get(status, status) for start, changed in STATUSES.items() if path.startswith(start)), status)


def shaped(path: str, status: int, told: Told) -> tuple[bytes, str] | None:
    """The body of an error and its media type; None where it stays as it is."""
    for start, (make, media) in SHAPES.items():
        if path.startswith(start):
            return json.dumps(make(status, path, told)).encode(), media
    return None


def route_path(scope: Scope) -> str:
    """The path without that below which a proxy shows Easel."""
    path, root = scope["path"], scope.get("root_path", "")
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


class ErrorShapes:
    """ASGI middleware: answers of 400 and more below these paths are told anew."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and route_path(scope).startswith(tuple(SHAPES)):
            await self._app(scope, receive, _Answer(route_path(scope), send).take)
        else:
            await self._app(scope, receive, send)


class _Answer:
    """Hands on what is sent; of an error only once it is whole."""

    def __init__(self, path: str, send: Send) -> None:
        self._path, self._send = path, send
        self._start: Message | None = None
        self._body = b""

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")[:LONGEST]
            if not message.get("more_body", False):
                await self._finish(self._start)

    async def _finish(self, start: Message) -> None:
        headers = MutableHeaders(raw=list(start["headers"]))
        told = _read(self._body, headers.get("Content-Encoding", ""))
        body, media = shaped(self._path, start["status"], told) or (b"", "")
        del headers["Content-Encoding"]
        headers["Content-Type"], headers["Content-Length"] = media, str(len(body))
        status = shaped_status(self._path, start["status"])
        await self._send({**start, "status": status, "headers": headers.raw})
        await self._send({"type": "http.response.body", "body": body})


def _read(body: bytes, encoding: str) -> Told:
    """The error that a route has told, which may have been compressed on its way here."""
    try:
        told = json.loads(gzip.decompress(body) if encoding == "gzip" else body)
    except (ValueError, OSError, EOFError, zlib.error):
        told = None
    return told if isinstance(told, dict) else {}


def _problems(told: Told) -> list[dict[str, str]]:
    return told.get("problems") or [{"field": "", "message": str(told.get("errors") or told.get("detail") or "")}]


def _sentence(told: Told) -> str:
    return "; ".join(f"{one['field']}: {one['message']}" if one["field"] else one["message"] for one in _problems(told))
