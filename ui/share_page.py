"""The page behind a link: a picture or a plot for whoever has it. HTML without scripts, and not for search engines.

It is in the visitor's language: the browser says which.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import cache
from html import escape
from itertools import product
from pathlib import Path
from string import Template

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse

from backend import Backend, NotFound, SharedPage
from ui.page_head import LANGUAGES, languages

STYLE = Path(__file__).with_suffix(".css")
PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex, nofollow">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header><h1>$heading</h1><p>$facts</p></header>
<main>$content</main>
$settings
<footer>Easel</footer>
</body>
</html>
""")
HEADERS = {
    "Cache-Control": "private, no-store", "X-Robots-Tag": "noindex, nofollow", "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; "
                               "form-action 'none'; frame-ancestors 'none'",
}
GONE = "This link is not there, or no longer."
Say = Callable[[str], str]


def route(backend: Backend) -> APIRouter:
    """`/share/<token>`."""
    router = APIRouter()

    @router.get("/share/{token}", include_in_schema=False)
    def shared(request: Request, token: str) -> HTMLResponse:
        code = language_of(request.headers.get("accept-language", ""))
        try:
            return HTMLResponse(page(backend.shared.page(token), code, token), headers=HEADERS)
        except NotFound:
            return HTMLResponse(gone(code), 404, headers=HEADERS)

    return router


def language_of(accepted: str) -> str:
    """The first language of an Accept-Language header that there is a file for; else English."""
    wanted = (re.split(r"[-;]", part.strip())[0].lower() for part in accepted[:200].split(","))
    return next((code for code in wanted if code in languages()), "en")


def page(shared: SharedPage, code: str, token: str) -> str:
    """The HTML of what a link shows. Addresses are beside the page's own, wherever it lies behind a proxy."""
    say = _words(code)
    if shared.image:
        facts = f"{shared.image.width} × {shared.image.height}"
        content = (f'<figure class="one"><img src="{token}/picture" alt="{escape(say("The shared picture"))}" '
                   f'width="{shared.image.width}" height="{shared.image.height}"><p><a href="{token}/picture'
                   f'?download=true" download>{escape(say("Download"))}</a></p></figure>')
        return _filled(code, say("Picture"), facts, content, _settings(shared.infotext, say))
    title = shared.plot.title if shared.plot else ""
    facts = f"{sum(bool(cell.image) for cell in shared.cells)} / {len(shared.cells)}"
    return _filled(code, title, facts, "".join(_grids(shared, token)), _settings(shared.infotext, say))


def gone(code: str) -> str:
    """The page of a link that opens nothing."""
    say = _words(code)
    return _filled(code, say(GONE), "", "", "")


def _grids(shared: SharedPage, token: str) -> Iterable[str]:
    """A table for each value of the third axis and those behind it: the first along the columns, the second down."""
    axes = [*shared.axes, *[("", [""])] * (2 - len(shared.axes))]
    cells = {cell.cell: cell for cell in shared.cells}
    (across, columns), (down, rows), others = axes[0], axes[1], axes[2:]
    for beyond in product(*(range(len(values)) for _, values in others)):
        words = ", ".join(f"{label}: {values[at]}" for (label, values), at in zip(others, beyond, strict=True))
        yield f"<h2>{escape(words)}</h2>" if words else ""
        head = "".join(f'<th scope="col">{escape(value)}</th>' for value in columns)
        corner = escape(" / ".join(filter(None, (down, across))))
        yield f'<div class="grid"><table><thead><tr><th>{corner}</th>{head}</tr></thead><tbody>'
        for row, value in enumerate(rows):
            yield f'<tr><th scope="row">{escape(value)}</th>'
            for column, of_column in enumerate(columns):
                place = (column, row, *beyond)[:len(shared.axes)]
                name = ",".join(map(str, place))
                cell = cells.get(name)
                yield f"<td>{_cell(token, name, cell.image if cell else '', f'{of_column}, {value}')}</td>"
            yield "</tr>"
        yield "</tbody></table></div>"


def _cell(token: str, name: str, image: str, words: str) -> str:
    if not image:
        return "<p>–</p>"
    alt = escape(words.strip(", "))
    return (f'<a href="{token}/picture?cell={name}"><img src="{token}/thumb?cell={name}" alt="{alt}" loading="lazy">'
            "</a>")


def _settings(text: str, say: Say) -> str:
    if not text:
        return ""
    heading = f'<h2 id="settings">{escape(say("Settings"))}</h2>'
    return f'<section aria-labelledby="settings">{heading}<pre>{escape(text)}</pre></section>'


def _filled(code: str, heading: str, facts: str, content: str, settings: str) -> str:
    html = PAGE.substitute(
        title=escape(f"{heading} – Easel"), style=STYLE.read_text("utf-8"), heading=escape(heading),
        facts=escape(facts), content=content, settings=settings)
    return html.replace('<html lang="en">', f'<html lang="{code}">', 1)


def _words(code: str) -> Say:
    texts = _texts(code)
    return lambda english: texts.get(english, english)


@cache
def _texts(code: str) -> dict[str, str]:
    return json.loads((LANGUAGES / f"{code}.json").read_text("utf-8"))["texts"] if code != "en" else {}
