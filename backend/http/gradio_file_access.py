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

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIX = "/gradio_api/"
SERVED = re.compile(r"/(?:gradio_api/)?file[=/](.*)", re.DOTALL)
UPLOAD = f"{PREFIX}upload"
MOST = 10_000           # paths that are remembered; the oldest are forgotten first
MAX_BODY = 8 * 2**20    # bytes of what a function is sent; files come as uploads
MAX_PARTS = 100_000     # of all paths in it: each is looked up on the disk
LONGEST_PATH = 4096     # letters; no system takes more
UPWARDS = re.compile(r"(^|[/\\])\.\.([/\\]|$)")
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
            is_form = Headers(scope=scope).get("content-type", "").startswith("multipart/")
            body, receive = await _whole(receive, None if is_form else MAX_BODY)
            if len(body) > MAX_BODY and not is_form:
                await _refuse(send, 413, "The request is too large")
                return
            if not await run_in_threadpool(self._may_all, user, body):
                await _refuse(send)
                return
        await self._app(scope, receive, self._learning(send, user, uploads))

    def _may_all(self, user: str, body: bytes) -> bool:
        """The same for each text of a body, if they are not too many to look at; Gradio looks up those of files."""
        sent = _json(body)
        if any(len(path) > LONGEST_PATH for path in _files(sent)):
            return False
        paths = {text for text in _texts(sent) if _is_path(text)}
        parts = sum(text.count("/") for text in paths if len(text) <= LONGEST_PATH)
        return parts <= MAX_PARTS and all(self._may(user, text) for text in paths)

    def _may(self, user: str, text: str) -> bool:
        """Whether a text names no file below these folders, or one that is this user's."""
        if not _is_path(text):
            return True
        if len(text) > LONGEST_PATH:        # too long as it stands, and Gradio may make it shorter
            if UPWARDS.search(text):
                return False
            text = os.path.normpath(text)
        if len(text) > LONGEST_PATH:
            return True
        path = _real(text)
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
        path = _real(told)
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
    for one in _all_in(told):
        if isinstance(one, dict) and one.get("meta") == FILE and isinstance(one.get("path"), str):
            yield one["path"]


def _texts(sent: Any) -> Iterator[str]:
    """Every string in it."""
    return (one for one in _all_in(sent) if isinstance(one, str))


def _all_in(value: Any) -> Iterator[Any]:
    """The value and all that is in it, however deep."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        yield one
        if isinstance(one, dict | list):
            waiting.extend(one.values() if isinstance(one, dict) else one)


def _real(path: str) -> str:
    """Where it leads; no file has letters in its name that cannot be encoded."""
    return os.path.realpath(path.encode("utf-8", "replace").decode().replace("\0", ""))


def _is_path(text: str) -> bool:
    """Whether it may lead anywhere but to the folder in which this process is."""
    return "/" in text or "\\" in text


def _json(text: bytes) -> Any:
    """None for what is no JSON: nobody reads that."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


async def _whole(receive: Receive, most: int | None) -> tuple[bytes, Receive]:
    """The body, as far as it has little more than `most` bytes, and what receives it again."""
    messages: list[Message] = []
    size = 0
    while not messages or messages[-1].get("more_body") and (most is None or size <= most):
        messages.append(await receive())
        size += len(messages[-1].get("body", b""))
    body = b"".join(message.get("body", b"") for message in messages)
    kept = iter(messages)

    async def again() -> Message:
        return next(kept, None) or await receive()

    return body, again


async def _refuse(send: Send, status: int = 404, why: str = "There is no such file") -> None:
    body = json.dumps({"detail": why}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
