"""Behind a reverse proxy: who asks, by which scheme and name, and the path below which Easel lies. Outside the guard.

`X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix` are believed from the addresses of `Settings.trusted_proxies`, and
taken out of every request, so that nothing further inside can believe them from others. Inside, paths have no root
path: `scope["path"]` is the same wherever Easel lies, `scope["state"]["root_path"]` tells where that is, and a redirect
to a path leads there.
"""

from __future__ import annotations

import ipaddress
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from backend.flags import ROOT_PATH
from backend.http.public_link import PublicLink
from backend.settings import Settings

TOLD = tuple(f"x-forwarded-{what}".encode() for what in ("for", "proto", "host", "prefix", "port", "server", "path"))
# Gradio would believe these of anybody.
TAKEN_OUT = (*TOLD, b"forwarded", b"x-real-ip", b"x-gradio-server")
HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")


class Proxy:
    """ASGI middleware, around all others."""

    def __init__(self, app: ASGIApp, settings: Settings, link: PublicLink | None = None) -> None:
        self._app, self._root_path, self._link = app, settings.root_path, link
        self._trusted = [ipaddress.ip_network(each) for each in settings.trusted_proxies]
        self._believing = ProxyHeadersMiddleware(self._plain, list(settings.trusted_proxies))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if self._link and self._link.is_asked(scope):
            await self._plain(_with_root(self._link.named(scope), ""), receive, send)
            return
        root, path, headers = self._root_path, scope["path"], Headers(scope=scope)
        prefix = ""
        if self._is_trusted(scope):
            scope = _named(scope, headers.get("x-forwarded-host", ""))
            prefix = headers.get("x-forwarded-prefix", "").rstrip("/")
        if ROOT_PATH.fullmatch(prefix):     # such a proxy has taken it off the path
            root = prefix
        elif root and path in (root, "/"):      # who asks past the proxy finds the page, too
            await _redirect(scope, send, f"{root}/")
            return
        elif root and path.startswith(f"{root}/"):
            path = path.removeprefix(root)
        scope = {**scope, "path": path}
        await self._believing(_with_root(scope, root), receive, _leading_below(send, root) if root else send)

    async def _plain(self, scope: Scope, receive: Receive, send: Send) -> None:
        kept = [(name, value) for name, value in scope["headers"] if name not in TAKEN_OUT]
        await self._app({**scope, "headers": kept}, receive, send)

    def _is_trusted(self, scope: Scope) -> bool:
        try:
            address = ipaddress.ip_address((scope.get("client") or ("",))[0])
        except ValueError:
            return False
        return any(address in network for network in self._trusted)


def _with_root(scope: Scope, root: str) -> Scope:
    return {**scope, "state": {**scope.get("state", {}), "root_path": root}}


def _named(scope: Scope, host: str) -> Scope:
    """The request under the name that the first proxy was asked by, if it tells one."""
    host = host.partition(",")[0].strip()
    if not HOST.fullmatch(host):
        return scope
    others = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return {**scope, "headers": [*others, (b"host", host.encode())]}


def _leading_below(send: Send, root: str) -> Send:
    async def led(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            to = headers.get("location", "")
            if to.startswith("/") and not to.startswith("//"):
                headers["location"] = root + to
        await send(message)

    return led


async def _redirect(scope: Scope, send: Send, to: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": "There is nothing here"})
        return
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    headers = [(b"location", to.encode() + query), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 307, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
