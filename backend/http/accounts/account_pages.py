"""The pages around logging in: small HTML of its own, which needs neither a script nor Gradio's page.

The templates lie in `ui/account_pages`, in English; what stands between their tags is exchanged by the words of the
same language files that the page has.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from backend.settings import HOME

TEMPLATES = HOME / "ui" / "account_pages"
LANGUAGES = HOME / "ui" / "languages"
_TEXT = re.compile(r"(>)([^<>{}]+)(?=<)|( (?:placeholder|title|aria-label)=\")([^\"{}]+)(?=\")")
_NO_STORE = {"Cache-Control": "no-store"}


def page(request: Request, template: str, /, status: int = 200, run: str = "", **told: Any) -> HTMLResponse:
    """One of the templates, in the language of the browser or, where somebody is logged in, in theirs.

    `run`: the file of a script that acts there; else none can.
    """
    chosen = _preferences(request)
    language = _language(request, str(chosen.get("language", "browser")))
    body = _template(template, language).render(told, root=root_of(request))
    own = {"body": f"-->{body}<!--", "style": _file("account.css"), "script": _file(run) if run else ""}
    html = _template("frame.html", language).render(
        {name: Markup(text) for name, text in own.items()}, theme=chosen.get("theme", "system"), language=language)  # noqa: S704
    # Nothing else runs, and nothing is sent to elsewhere.
    policy = (f"default-src 'none'; style-src {_digest('account.css')}; img-src 'self' data:; form-action 'self'; "
              f"base-uri 'none'; frame-ancestors 'none'{f'; script-src {_digest(run)}' if run else ''}")
    return HTMLResponse(html, status, _NO_STORE | {"Content-Security-Policy": policy})


def root_of(request: Request) -> str:
    """The path below which a proxy shows this Easel; "" without one."""
    return request.scope["state"].get("root_path", "")


def here(request: Request) -> str:
    """This Easel's own address, as the browser knows it."""
    return f"{request.url.scheme}://{request.url.netloc}{root_of(request)}"


def translated(request: Request, text: str) -> str:
    """A sentence in the language of the page."""
    return _texts(_language(request, str(_preferences(request).get("language", "browser")))).get(text, text)


def _preferences(request: Request) -> dict[str, Any]:
    user = request.state.user
    return request.app.state.backend.as_(user).preferences() if user else {}


def _language(request: Request, chosen: str) -> str:
    """The code of a language that there is a file for, or "en"."""
    accepted = re.findall(r"[a-z]{2}", request.headers.get("accept-language", "").lower().split(",")[0])
    code = accepted[0] if chosen == "browser" and accepted else chosen
    return code if code in _codes() else "en"


@cache
def _codes() -> frozenset[str]:
    return frozenset(file.stem for file in LANGUAGES.glob("*.json"))


@cache
def _texts(language: str) -> dict[str, str]:
    if language == "en":
        return {}
    return json.loads((LANGUAGES / f"{language}.json").read_text("utf-8"))["texts"]


@cache
def _file(name: str) -> str:
    return (TEMPLATES / name).read_text("utf-8")


def _digest(name: str) -> str:
    """By which a policy knows what stands in a page."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(_file(name).encode()).digest()).decode()}'"


@cache
def _template(name: str, language: str) -> jinja2.Template:
    """What stands in comments there is Jinja's, so that nothing else of the file is a text that somebody reads."""
    texts = _texts(language)

    def exchanged(found: re.Match[str]) -> str:
        before, text = (found[1], found[2]) if found[1] else (found[3], found[4])
        words = " ".join(text.split())
        return before + text.replace(text.strip(), texts.get(words, text.strip())) if words else found[0]

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_TEXT.sub(exchanged, (TEMPLATES / name).read_text("utf-8")))
