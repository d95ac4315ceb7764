"""Gradio's own files: which of them a page will need, so that the browser asks for all at once, and kept as once sent.

Gradio's scripts find out one after the other what they need next, five times over. Read here is what its build tool
has written into them; where that is not understood, nothing is foretold and the page works as before. Its thirty style
sheets come as one: where a link to a sheet stands already, the build tool's loader asks for none.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio
from gradio.blocks import Block, Blocks
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui import gradio_start

FRONTEND = Path(gradio.__file__).parent / "templates" / "frontend"
FOLDER = "assets"
ENTRY = re.compile(r'src="\./assets/(index-[\w-]+\.js)"')
NAMES = re.compile(r'"\./([\w-]+\.(?:js|css))"')         # the table of a file's `__vite__mapDeps`
COMPONENT = r"\b%s:\{([^{}]*component:[^{}]*)\}"          # how the page loads the components of a type
IMPORTED = re.compile(r"import\(`\./([\w-]+\.js)`\)")
NUMBERS = re.compile(r"__vite__mapDeps\(\[([\d,]+)\]")
BESIDE = re.compile(r"url\([\"']?\./|@import")          # in a sheet that has to stay where it is
THEME = re.compile(rb'"theme_hash": ?"(\w+)"')
IMMUTABLE = "private, max-age=31536000, immutable"       # their names change with their content
MOST = 16 * 2**20           # bytes that are kept


@dataclass(frozen=True)
class Foretold:
    """Names of files, in the order in which Gradio asks for them."""

    scripts: tuple[str, ...]
    styles: tuple[str, ...]

    @classmethod
    def of(cls, types: Iterable[str]) -> Foretold:
        """What a page needs that shows components of these types."""
        names = [name for name in dict.fromkeys(_needed(types)) if (FRONTEND / FOLDER / name).is_file()]
        styles = (name for name in names if name.endswith(".css") and not BESIDE.search(_text(name)))
        return cls(tuple(name for name in names if name.endswith(".js")), tuple(styles))

    @property
    def sheet(self) -> bytes:
        """All styles in one."""
        return "\n".join(_text(name) for name in self.styles).encode()

    def head(self) -> str:
        """Links for the beginning of the page's head."""
        return "".join(f'<link rel="modulepreload" href="./{FOLDER}/{name}">' for name in self.scripts)

    def tail(self, sheet: str) -> str:
        """For the end of the head, behind Gradio's first styles: `sheet` is the address of the joined one.

        A link that is disabled loads nothing, and keeps the loader from asking.
        """
        there = "".join(f'<link rel="stylesheet" disabled href="./{FOLDER}/{name}">' for name in self.styles)
        return f'<link rel="stylesheet" href="{sheet}">{there}' if there else ""


def theme_link(page: bytes) -> bytes:
    """For the head of this page: Gradio asks for its colours when all else is there, and waits for them."""
    found = THEME.search(page)
    return b'<link rel="preload" as="style" href="./theme.css?v=%s">' % found[1] if found else b""


def seen_first(blocks: Blocks) -> list[str]:
    """The types of the components that the page shows before another tab is opened."""
    first = next((block for block in blocks.blocks.values() if isinstance(block, gradio.TabItem)), None)

    def seen(block: Block | None) -> bool:
        if block is None:
            return True
        other = isinstance(block, gradio.TabItem) and block is not first
        return not other and getattr(block, "visible", True) is not False and seen(block.parent)

    return sorted({block.get_block_name() for block in blocks.blocks.values() if seen(block)})


def _needed(types: Iterable[str]) -> Iterator[str]:
    entry = ENTRY.search((FRONTEND / "index.html").read_text("utf-8"))
    if not entry:
        return
    yield entry[1]
    first = _names(entry[1])
    yield from first
    for name in first:
        if name.startswith("Index-") and name.endswith(".js"):
            yield from (inner for inner in _names(name) if inner.startswith("Blocks-"))
        if name.startswith("core-") and name.endswith(".js"):
            yield from _of_components(name, types)


def _of_components(core: str, types: Iterable[str]) -> Iterator[str]:
    text, names = _text(core), _names(core)
    for kind in types:
        if found := re.search(COMPONENT % re.escape(kind), text):
            yield from IMPORTED.findall(found[1])
            for numbers in NUMBERS.findall(found[1]):
                yield from (names[int(number)] for number in numbers.split(","))


def _names(name: str) -> list[str]:
    """In the order in which the file numbers them."""
    table = re.match(r"const __vite__mapDeps=.*", _text(name))
    return NAMES.findall(table[0]) if table else []


def _text(name: str) -> str:
    return (FRONTEND / FOLDER / name).read_text("utf-8")


class KeptFiles:
    """ASGI middleware behind the guard: each file is read and compressed once, and browsers need not ask again."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app, self._prefix = app, f"{path.rstrip('/')}/{FOLDER}/"
        self._kept: dict[tuple[str, str], list[Message]] = {}
        self._size = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(self._prefix):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        key = scope["path"], headers.get("accept-encoding", "")
        if "range" in headers:
            await self._app(scope, receive, send)
            return
        messages = self._kept.get(key) or await self._fetched(key, scope, receive)
        for message in messages:
            await send({**message, "headers": [*message["headers"]]} if "headers" in message else message)

    async def _fetched(self, key: tuple[str, str], scope: Scope, receive: Receive) -> list[Message]:
        name = key[0].removeprefix(self._prefix)
        if gradio_start.SCRIPT.fullmatch(name) and (FRONTEND / FOLDER / name).is_file():
            messages = _sent(gradio_start.shortened(_text(name)).encode(), compressed="gzip" in key[1])
        else:
            messages = await self._answered(scope, receive)
        size = sum(len(message.get("body", b"")) for message in messages)
        if messages[0].get("status") == 200:
            MutableHeaders(raw=messages[0]["headers"])["cache-control"] = IMMUTABLE
            if self._size + size <= MOST:
                self._kept[key], self._size = messages, self._size + size
        return messages

    async def _answered(self, scope: Scope, receive: Receive) -> list[Message]:
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await self._app(_unconditional(scope), receive, collect)
        return messages


def _sent(script: bytes, *, compressed: bool) -> list[Message]:
    """The answer that is a script."""
    headers = {"Content-Type": "text/javascript; charset=utf-8", "Vary": "Accept-Encoding"}
    headers |= {"Content-Encoding": "gzip"} if compressed else {}
    answer = Response(gzip.compress(script) if compressed else script, headers=headers)
    return [{"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers},
            {"type": "http.response.body", "body": answer.body}]


def _unconditional(scope: Scope) -> Scope:
    """The same request by somebody who has nothing yet: what is kept has to be whole."""
    conditions = (b"if-none-match", b"if-modified-since")
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name not in conditions]}
