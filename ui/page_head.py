"""What the browser runs before it shows anything: which light and which language the person chose.

Gradio adds a page's own scripts only after it has started, a second too late for that. So the page's HTML gets one
block of its own at the beginning of its head.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Hashable
from http import HTTPStatus
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.gradio_assets import theme_link
from ui.root_path import root_path

HERE = Path(__file__).parent
LANGUAGES = HERE / "languages"      # a file per language: {"name": "Deutsch", "texts": {English: translation}}
ENGLISH = {"en": "English"}
HEAD, END = b"<head>", b"</head>"
REVALIDATED = "private, no-cache"
ADDRESSES = 8               # by which the page was asked last: so many are kept


class PageHead:
    """ASGI middleware: the HTML that is served at `path` gets the block with `head`, and `tail` at the end of its head.

    It is kept: Gradio writes half a megabyte anew for each visit, in which nothing differs but the address that it was
    asked by.
    This has to stand behind the guard: what is kept goes to whoever comes so far.
    """

    def __init__(self, app: ASGIApp, path: str, head: str, tail: str = "") -> None:
        self._app, self._path, self._block, self._tail = app, path, (block() + head).encode(), tail.encode()
        self._kept: OrderedDict[Hashable, _Answer] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self._path or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        address = _address(scope)
        page = self._kept.get(address) or await self._made(scope, receive)
        if page.status == HTTPStatus.OK and not scope["query_string"]:
            self._kept[address] = page
            self._kept.move_to_end(address)
            while len(self._kept) > ADDRESSES:
                self._kept.popitem(last=False)
        await page.response(Headers(scope=scope))(scope, receive, send)

    async def _made(self, scope: Scope, receive: Receive) -> _Answer:
        page = _Answer()
        await self._app(scope, receive, page.send)
        if page.headers.get("content-type", "").startswith("text/html"):
            head = HEAD + self._block + theme_link(page.body)
            page.body = page.body.replace(HEAD, head, 1).replace(END, self._tail + END, 1)
            page.headers |= {"etag": f'W/"{hashlib.sha256(page.body).hexdigest()[:32]}"', "cache-control": REVALIDATED}
        return page


class _Answer:
    """An answer of the application, held back until it is whole."""

    def __init__(self) -> None:
        self.status, self.body = HTTPStatus.OK.value, b""
        self.headers: dict[str, str] = {}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(Headers(raw=message["headers"]))
            self.headers.pop("content-length", None)
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")

    def response(self, asked: Headers) -> Response:
        """The answer, or that the browser has it already. New each time: what stands around changes its headers."""
        known = [tag.strip().removeprefix("W/") for tag in asked.get("if-none-match", "").split(",")]
        if self.headers.get("etag", "none").removeprefix("W/") in known:
            headers = {name: self.headers[name] for name in ("etag", "cache-control")}
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(self.body, self.status, self.headers)


def _address(scope: Scope) -> Hashable:
    """What Gradio reads the page's own address from."""
    return scope["scheme"], Headers(scope=scope).get("host"), root_path(scope)


def block() -> str:
    """The caller's preferences, the languages there are, and the script that heeds them."""
    known = json.dumps(languages(), ensure_ascii=False).replace("<", "\\u003c")
    script = (HERE / "page_head.js").read_text("utf-8")
    style = (HERE / "page_head.css").read_text("utf-8")
    return (f'<meta name="color-scheme" content="light dark"><style>{style}</style>'
            f'<script src="./easel/preferences.js"></script>'
            f"<script>window.easelLanguages = {known};\n{script}</script>")


def languages() -> dict[str, str]:
    """Codes and own names: English and every language that has a file."""
    files = sorted(LANGUAGES.glob("*.json"))
    return ENGLISH | {file.stem: json.loads(file.read_text("utf-8"))["name"] for file in files}
