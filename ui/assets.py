"""The scripts and styles of the page, served under a name that changes with their content, so that browsers keep them.

The scripts are ES modules. All of them lie under one folder that is named by the hash of everything in it, so that a
changed file changes the address of all. The page loads them as one file (`script_pack.py`); a worker, and what is
loaded later, takes its own.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ui.fields import described
from ui.script_pack import LOADER, packed
from ui.tabs.table import Tabs

HERE = Path(__file__).parent
ROOT = "/easel/assets"
SHARED = ("vendor", "scripts", "parts")
TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
APART = "vendor/swagger-ui/"               # the page of the API loads it, and no other
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
ENTRY, STYLE, FACE, PACK = "scripts/page.js", "page.css", "scripts/easel.js", "scripts.js"
# Not in the pack: what a worker loads, and what is large and needs none of Easel's own.
OWN_ADDRESS = ("scripts/stream_worker.js", "vendor/photoswipe/photoswipe.esm.min.js")
# Style sheets below these are not loaded with the page, but with the scripts beside them.
ASIDE = ("parts/networks/", "parts/plot_form/", "parts/guides/", "tabs/plots/")
# Gradio's style sheets come later than the page's own, and rules of the same weight would win over them.
WEIGHT = ":root:root:root"
KEYFRAMES = re.compile(r"^@keyframes [^{]+\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", re.M)       # may not stand inside a rule


@dataclass(frozen=True)
class Assets:
    """Files by their path below the folder, as it is in an address."""

    files: dict[str, bytes]

    @cached_property
    def folder(self) -> str:
        """The address of the folder, without a slash at the end."""
        digest = hashlib.sha256(LOADER.read_bytes())
        for path, content in sorted(self.files.items()):
            digest.update(f"{path}\0{len(content)}\0".encode() + content)
        return f"{ROOT}/{digest.hexdigest()[:16]}"

    @cached_property
    def pack(self) -> bytes:
        """All scripts that the page loads, in one."""
        scripts = {path: content for path, content in self.files.items() if path.endswith(".js")}
        return packed(scripts, OWN_ADDRESS, FACE, self.folder)

    @property
    def served(self) -> dict[str, bytes]:
        """What there is an address for: a page that has an entry has a pack."""
        return self.files | ({PACK: self.pack} if ENTRY in self.files else {})

    def head(self, links: str = "") -> str:
        """What the page's HTML needs at the beginning of its head, with the `links` of what is needed as soon.

        The import map, which the pack writes, must come before any module.
        """
        folder = f".{self.folder}"
        return (f'<link rel="stylesheet" href="{folder}/{STYLE}"><script src="{folder}/{PACK}"></script>'
                f'{links}<script type="module">import "easel/{ENTRY}";</script>')


def collect(tabs: Tabs, more: Mapping[str, bytes] | None = None) -> Assets:
    """Easel's own files, those of each tab's folder under `tabs/<name>/`, those made from tables, and `more`."""
    files = {path: file.read_bytes() for path, file in _files(tabs) if file.suffix == ".js"}
    files["scripts/fields.js"] = _fields()
    files["scripts/tab_scripts.js"] = _tab_scripts(tabs, files)
    sheets = [(path, file) for path, file in _files(tabs) if file.suffix == ".css"]
    files[STYLE] = _style(HERE / STYLE, *(file for path, file in sheets if not is_aside(path)))
    return Assets(files | {path: _style(file) for path, file in sheets if is_aside(path)} | dict(more or {}))


def is_aside(path: str) -> bool:
    """Whether a style sheet is not loaded with the page."""
    return path.startswith(ASIDE)


def of_the_api() -> Assets:
    """What the page of the API loads."""
    return Assets({file.name: file.read_bytes() for file in _inside(HERE / APART)})


def _files(tabs: Tabs) -> Iterator[tuple[str, Path]]:
    for folder in SHARED:
        inside = ((file.relative_to(HERE).as_posix(), file) for file in _inside(HERE / folder))
        yield from ((path, file) for path, file in inside if not path.startswith(APART))
    for name, folder in _folders(tabs):
        yield from ((f"tabs/{name}/{file.relative_to(folder).as_posix()}", file) for file in _inside(folder))


def _folders(tabs: Tabs) -> Iterator[tuple[str, Path]]:
    yield from ((tab.NAME, Path(tab.__file__).parent) for tab in tabs.values())


def _inside(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix in TYPES)


def _fields() -> bytes:
    table = json.dumps(described(), ensure_ascii=False)
    return f"// The field table, written by the server.\nexport const fields = {table};\n".encode()


def _tab_scripts(tabs: Tabs, files: dict[str, bytes]) -> bytes:
    """A tab's script is the one that bears its name; it imports what else is in the folder."""
    own = [f"tabs/{name}/{name}.js" for name, _ in _folders(tabs)]
    return "".join(f'import "../{path}";\n' for path in own if path in files).encode()


def _style(*files: Path) -> bytes:
    """One sheet. Its rules are nested in one that gives them weight; `&` in them is the root of the page."""
    text = "\n".join(file.read_text("utf-8") for file in files)
    return "\n".join([*KEYFRAMES.findall(text), f"{WEIGHT} {{", KEYFRAMES.sub("", text), "}"]).encode()


def route(*assets: Assets) -> APIRouter:
    """GET of each file; an address of another content finds nothing, and no browser keeps that."""
    router = APIRouter()
    files = {f"{some.folder}/{path}": content for some in assets for path, content in some.served.items()}

    @cache
    def small(address: str) -> bytes:
        return gzip.compress(files[address])

    @router.api_route(f"{ROOT}/{{path:path}}", methods=["GET", "HEAD"], include_in_schema=False)
    async def file(path: str, request: Request) -> Response:
        address, kind = f"{ROOT}/{path}", TYPES.get(Path(path).suffix)
        if address not in files:
            return Response(status_code=404, headers={"Cache-Control": "no-store"})
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(small(address), headers=FOREVER | {"Content-Encoding": "gzip"}, media_type=kind)
        return Response(files[address], headers=FOREVER, media_type=kind)

    return router
