"""A border around the routes that Gradio brings: what they cannot read is the client's mistake, told quietly.

Plain ASGI, inside the guard. Easel's own routes have an error handler of their own (`errors`).
"""

from __future__ import annotations

import errno
import json
import logging

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OWN = ("/easel/", "/sdapi/", "/internal/", "/api/", "/v1/", "/login", "/logout", "/join/", "/account")
NO_SPACE = 507

log = logging.getLogger(__name__)


class ForeignRoutes:
    """Turns an error or a 500 of a foreign route into a 4xx, with one line in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(OWN):
            await _Exchange(scope, send).run(self._app, receive)
        else:
            await self._app(scope, receive, send)


class _Exchange:
    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self._started = self._refused = False

    async def run(self, app: ASGIApp, receive: Receive) -> None:
        status = 404 if self._scope["method"] in ("GET", "HEAD") else 400
        try:
            await app(self._scope, receive, self._pass)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - the border of one request
            status, self._refused = _status(error, status), True
            log.warning("%s %s was refused: %r", self._scope["method"], self._scope["path"][:200], error)
        if self._refused and not self._started:
            await self._answer(status)

    async def _pass(self, message: Message) -> None:
        """Hands on what the route answers, unless that is a 500: of that only the status counts."""
        if message["type"] == "http.response.start":
            self._refused = message["status"] == 500
        if not self._refused:
            self._started = True
            await self._send(message)

    async def _answer(self, status: int) -> None:
        detail = "The disk is full" if status == NO_SPACE else "The request cannot be read"
        body = json.dumps({"detail": detail}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _status(error: Exception, otherwise: int) -> int:
    if isinstance(error, HTTPException):
        return error.status_code
    return NO_SPACE if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT) else otherwise
