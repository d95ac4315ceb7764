"""What the browser runs before it shows anything: which light and which language the person chose.

Gradio adds a page's own scripts only after it has started, a second too late for that. So the page's HTML gets one
block of its own at the beginning of its head.
"""

from __future__ import annotations

import json
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HERE = Path(__file__).parent
LANGUAGES = HERE / "languages"      # a file per language: {"name": "Deutsch", "texts": {English: translation}}
ENGLISH = {"en": "English"}
HEAD = b"<head>"


class PageHead:
    """ASGI middleware: puts the block, and `head` behind it, into the HTML that is served at `path`."""

    def __init__(self, app: ASGIApp, path: str, head: str) -> None:
        self._app, self._path, self._block = app, path, (block() + head).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self._path or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Insertion(send, self._block).send)


class _Insertion:
    """One answer, held back until it is whole."""

    def __init__(self, send: Send, block: bytes) -> None:
        self._send, self._block = send, block
        self._start: Message = {}
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        headers = MutableHeaders(scope=self._start)
        if headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers:
            self._body = self._body.replace(HEAD, HEAD + self._block, 1)
            headers["content-length"] = str(len(self._body))
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": self._body})


def block() -> str:
    """The caller's preferences, the languages there are, and the script that heeds them."""
    known = json.dumps(languages(), ensure_ascii=False).replace("<", "\\u003c")
    script = (HERE / "page_head.js").read_text("utf-8")
    style = (HERE / "page_head.css").read_text("utf-8")
    return (f'<meta name="color-scheme" content="light dark"><style>{style}</style>'
            f'<script src="/easel/preferences.js"></script>'
            f"<script>window.easelLanguages = {known};\n{script}</script>")


def languages() -> dict[str, str]:
    """Codes and own names: English and every language that has a file."""
    files = sorted(LANGUAGES.glob("*.json"))
    return ENGLISH | {file.stem: json.loads(file.read_text("utf-8"))["name"] for file in files}
