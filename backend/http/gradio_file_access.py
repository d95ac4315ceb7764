"""Whose the files are that Gradio keeps: what one user has sent or was given, no other can ask for.

Gradio answers an upload with the path of a file in a folder of its own, and gives that file to whoever names the path.
Paths in what it answers belong to who is answered; another's path is refused, in an address and in what is sent to a
function, and so is every other file of the data folder. Plain ASGI, inside the guard.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIX = "/gradio_api/"
SERVED = re.compile(r"/(?:gradio_api/)?file[=/](.*)", re.DOTALL)
UPLOAD = f"{PREFIX}upload"
MOST = 10_000           # paths that are remembered; the oldest are forgotten first
FILE = {"_type": "gradio.FileData"}


class GradioFiles:
    """Remembers for one run; what was sent before is asked for in vain."""

    def __init__(self, app: ASGIApp, data: Path) -> None:
        own = os.environ.get("GRADIO_TEMP_DIR") or os.path.join(tempfile.gettempdir(), "gradio")
        self._app, self._folders = app, tuple({os.path.realpath(folder) for folder in (data, own)})
        self._allowed: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith((PREFIX, "/file")):
            await self._app(scope, receive, send)
            return
        user, uploads = scope["state"]["user"].id, scope["path"] == UPLOAD
        found = SERVED.fullmatch(scope["path"])
        if found and not self._may(user, found[1]):
            await _refuse(send)
            return
        if scope["method"] == "POST" and not uploads:
            body, receive = await _whole(receive)
            if not all(self._may(user, text) for text in _texts(_json(body))):
                await _refuse(send)
                return
        await self._app(scope, receive, self._learning(send, user, uploads))

    def _may(self, user: str, text: str) -> bool:
        """Whether a text names no file below these folders, or one that is this user's."""
        path = os.path.realpath(text.replace("\0", "")) if "/" in text or "\\" in text else ""
        return not self._is_inside(path) or (user, path) in self._allowed

    def _is_inside(self, path: str) -> bool:
        return any(path == folder or path.startswith(folder + os.sep) for folder in self._folders)

    def _learning(self, send: Send, user: str, uploads: bool) -> Send:
        async def learning(message: Message) -> None:
            body = message.get("body", b"")
            if b"path" in body or uploads:
                for path in _told(body, uploads):
                    self._allow(user, path)
            await send(message)

        return learning

    def _allow(self, user: str, told: str) -> None:
        path = os.path.realpath(told)
        if self._is_inside(path):
            self._allowed[user, path] = None
            while len(self._allowed) > MOST:
                self._allowed.popitem(last=False)


def _told(body: bytes, uploads: bool) -> Iterator[str]:
    """The files that an answer, or an event of a stream, tells of: what a text says is none."""
    for line in body.splitlines():
        told = _json(line.removeprefix(b"data:"))
        if uploads and isinstance(told, list):
            yield from (path for path in told if isinstance(path, str))
        yield from _files(told)


def _files(told: Any) -> Iterator[str]:
    """The paths of the file objects in it."""
    if isinstance(told, dict):
        if told.get("meta") == FILE and isinstance(told.get("path"), str):
            yield told["path"]
        told = list(told.values())
    if isinstance(told, list):
        for one in told:
            yield from _files(one)


def _texts(sent: Any) -> Iterator[str]:
    """Every string in it."""
    if isinstance(sent, str):
        yield sent
    elif isinstance(sent, dict | list):
        for one in sent.values() if isinstance(sent, dict) else sent:
            yield from _texts(one)


def _json(text: bytes) -> Any:
    """None for what is no JSON: nobody reads that."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


async def _whole(receive: Receive) -> tuple[bytes, Receive]:
    """The body, and what receives it again."""
    messages: list[Message] = []
    while not messages or messages[-1].get("more_body"):
        messages.append(await receive())
    body = b"".join(message.get("body", b"") for message in messages)
    kept = iter(messages)

    async def again() -> Message:
        return next(kept, None) or await receive()

    return body, again


async def _refuse(send: Send) -> None:
    body = b'{"detail":"There is no such file"}'
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})
