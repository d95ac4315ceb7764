"""The guard: plain ASGI around every route, the page's, its files and websockets included. Nothing is open by default.

Refused, in this order: requests sent by other web sites, bodies that are too large, names that are not this machine's
(where there are no logins) or requests without a right login, and what the caller's role does not allow. All that goes
out carries the security headers. Names and web sites that Easel was started with (`Settings.hosts`, `origins`) are let
in. A stream ends when the login that opened it does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.errors import StorageError
from backend.http.accounts.authentication import Denied, unauthorized
from backend.http.accounts.identification import Identification, Login, denied_page, session_cookie
from backend.settings import Settings
from backend.store.sessions import Sessions

MAX_BODY = 64 * 2**20
HEALTH = "/easel/health"
PROBES = ("/health", "/ready", "/metrics")     # the last asks by itself who may read it
# What nobody needs a login for: the way in.
UNLOCKED = (HEALTH, *PROBES, "/login", "/login/openid", "/login/openid/back")
UNLOCKED_BELOW = ("/join/", "/password/")
SHARED = ("/share/",)       # likewise, where `Settings.share_links` says so: each has a token in its path
# What somebody may send who may only look: it changes nothing, or only how the page looks to them. Through Gradio's
# events come calls of functions that ask the front door, which draws nothing for them.
LOOKS = ("/logout", "/easel/preferences", "/easel/file-name", "/sdapi/v1/png-info",
         "/easel/settings", "/easel/settings/text", "/easel/prompts/count")
LOOKS_BELOW = ("/account/", "/gradio_api/queue/join", "/gradio_api/run/", "/gradio_api/reset", "/gradio_api/cancel")
# Who a caller is cannot be changed by a program's token.
OWN_ACCOUNT = ("/account", "/logout")
STILL_THERE = 2.0       # seconds between two looks at whether the login of an open stream still holds
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")
# What Gradio brings for developers and other uses, and Easel's page does not need.
CLOSED = (
    "/gradio_api/vibe", "/gradio_api/undo-vibe", "/gradio_api/proxy=", "/gradio_api/run-history", "/gradio_api/runs",
    "/gradio_api/custom_component", "/gradio_api/dev", "/gradio_api/process_recording", "/gradio_api/deep_link",
    "/monitoring",
)
DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
MAY_SEND = {"Access-Control-Allow-Methods": "GET, POST, DELETE", "Access-Control-Max-Age": "600",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, "
                                            "X-Easel-Client, X-Easel-Unknown"}
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Gradio's page starts with inline scripts and compiles event handlers, and Easel's scripts are blobs of one file;
    # nothing may come from or go to elsewhere.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' blob: 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
    ),
}


class Guard:
    """ASGI middleware. Puts into `scope["state"]` the caller, `user`, and how it is known who that is, `login`.

    Both are None on what needs no login. Where there are no accounts and only this machine can ask, everybody is
    `LOCAL`.
    """

    def __init__(self, app: ASGIApp, settings: Settings, identification: Identification, sessions: Sessions) -> None:
        self._app, self._settings = app, settings
        self._identification, self._sessions = identification, sessions
        self._unlocked_below = (*UNLOCKED_BELOW, *(SHARED if settings.share_links == "open" else ()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            origin = self._origin(scope)
            if origin and scope["method"] == "OPTIONS":     # the browser asks first, without a login
                secured = _with_security_headers(send, {"Access-Control-Allow-Origin": origin, **MAY_SEND})
                await secured({"type": "http.response.start", "status": 204, "headers": []})
                await secured({"type": "http.response.body", "body": b""})
                return
            cors = {"Access-Control-Allow-Origin": origin} if origin else {}
            await self._guarded(scope, receive, _with_security_headers(send, cors))
        else:
            await self._app(scope, receive, send)

    def _origin(self, scope: Scope) -> str:
        """The page elsewhere that sends this, if it is one of those that may; else ""."""
        origin = Headers(scope=scope).get("origin", "") if scope["type"] == "http" else ""
        return origin if origin in self._settings.origins else ""

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            login = await self._admit(scope, headers)
            cookie = self._next_cookie(scope, headers, login)
        except Denied as denied:
            await _refuse(scope, send, denied)
        except StorageError as error:
            await _refuse(scope, send, Denied(503, f"Nobody can be let in now: {error}"))
        else:
            scope.setdefault("state", {}).update(user=login.user if login else None, login=login)
            try:
                await self._app(scope, _limited(receive), self._watched(_with_cookie(send, cookie), login))
            except LoginEnded:
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _admit(self, scope: Scope, headers: Headers) -> Login | None:
        check_origin(scope, headers, self._settings.origins)
        check_size(headers)
        if self._identification.is_open:
            check_host(headers.get("host", ""), self._settings.hosts)
        login, path = await self._identification.login(scope, headers), scope["path"]
        if login is None and not (path in UNLOCKED or path.startswith(self._unlocked_below)):
            raise denied_page(scope, headers) or _unknown(headers)
        if login is not None:
            check_role(scope, login)
        if path.startswith(CLOSED):
            raise Denied(404, "There is nothing here")
        return login

    def _next_cookie(self, scope: Scope, headers: Headers, login: Login | None) -> str:
        """With a page that a browser opens its session goes on under another token, if the one it has is old."""
        opens = scope["type"] == "http" and scope["method"] == "GET" and headers.get("sec-fetch-dest") == "document"
        if not login or not login.session or not opens:
            return ""
        token = self._sessions.next_token(login.session)
        return session_cookie(token, scope, self._settings.port) if token else ""

    def _watched(self, send: Send, login: Login | None) -> Send:
        """Sends as long as the login holds; of a stream that goes on for longer than that nothing more comes."""
        looked = time.monotonic()

        async def watched(message: Message) -> None:
            nonlocal looked
            if login and message.get("more_body") and time.monotonic() - looked > STILL_THERE:
                looked = time.monotonic()
                if not self._identification.holds(login):
                    raise LoginEnded
            await send(message)

        return watched


class LoginEnded(Exception):
    """The login that opened a stream does not hold any more."""


def check_role(scope: Scope, login: Login) -> None:
    """The one place where everything that changes something is refused to who may only look."""
    path = scope["path"]
    if login.way == "token" and path.startswith(OWN_ACCOUNT):
        raise Denied(403, "A token cannot change whose it is: log in with name and password")
    safe = scope["type"] == "http" and scope["method"] in SAFE_METHODS
    if not login.user.may_draw and not safe and not (path in LOOKS or path.startswith(LOOKS_BELOW)):
        raise Denied(403, "This account may look, and change nothing")


def _unknown(headers: Headers) -> Denied:
    """A script of a page is told without the header at which browsers ask for a password themselves."""
    denied = unauthorized("Log in with name and password")
    return Denied(denied.status, denied.reason) if "sec-fetch-mode" in headers else denied


def check_host(host: str, allowed: Sequence[str]) -> None:
    """A foreign name that leads to this machine (DNS rebinding) shows in the Host header."""
    if _host_and_port(f"http://{host}")[0] not in (*LOCAL_NAMES, *allowed):
        raise Denied(403, "Easel answers to localhost only; --allow-host or --auth give it other names")


def check_origin(scope: Scope, headers: Headers, allowed: Sequence[str]) -> None:
    """Browsers say which page sends a request. Another site's page may not change anything here, or open a socket."""
    if scope["type"] == "http" and scope["method"] in SAFE_METHODS:
        return
    origin = headers.get("origin")
    if scope["type"] == "http" and origin in allowed:
        return
    if origin is None and headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        raise Denied(403, "Requests from other web sites are refused")
    if origin is not None and not _same(origin, headers.get("host", "")):
        raise Denied(403, "Requests from other web sites are refused")


def check_size(headers: Headers) -> None:
    """A declared size; what is not declared is counted as it comes."""
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MAX_BODY:
        raise Denied(413, f"The request is larger than {MAX_BODY // 2**20} MB")


def _same(origin: str, host: str) -> bool:
    """An Origin of "null" (a sandboxed page, a file) has no name and equals nothing."""
    name, port = _host_and_port(origin)
    return bool(name) and (name, port) == _host_and_port(f"{origin.partition(':')[0]}://{host}")


def _host_and_port(url: str) -> tuple[str, int | None]:
    """("", None) for what cannot be read, which equals nothing that is allowed."""
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return "", None


def _limited(receive: Receive) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY:
            raise HTTPException(413, f"The request is larger than {MAX_BODY // 2**20} MB")
        return message

    return counted


def _with_security_headers(send: Send, cors: Mapping[str, str]) -> Send:
    """`cors`: what lets a page elsewhere read the answer."""
    async def secured(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name in [name for name in headers if name.startswith("access-control-")]:
                del headers[name]  # Gradio would let other sites read
            headers.update(cors)
            if cors:
                headers.add_vary_header("Origin")
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return secured


def _with_cookie(send: Send, cookie: str) -> Send:
    async def giving(message: Message) -> None:
        if cookie and message["type"] == "http.response.start":
            MutableHeaders(scope=message).append("Set-Cookie", cookie)
        await send(message)

    return giving


async def _refuse(scope: Scope, send: Send, denied: Denied) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": denied.reason})  # before it is open: 403
        return
    body = json.dumps({"detail": denied.reason, "error": "Denied", "errors": denied.reason, "body": ""}).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **denied.headers}
    await send({"type": "http.response.start", "status": denied.status, "headers": _raw(headers)})
    await send({"type": "http.response.body", "body": body})


def _raw(headers: dict[str, str]) -> Sequence[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
