"""Language files: all that the page shows has its translation, and nothing stands in them that the page never says."""

import ast
import errno
import json
import re
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from backend import FIELDS
from backend.catalog.face_files import NOTICE
from backend.catalog.guide_files import LABELS
from backend.files.write_errors import Purpose
from backend.request.limits import LIMITS
from backend.settings import HOME, Settings
from tests.pure.door import Door
from ui.page_head import LANGUAGES, languages

ATTRIBUTES = ("placeholder", "title", "aria-label", "alt", "aria-valuetext")
VOID = {"input", "img", "br", "hr", "link", "meta"}
NAMES = {"Easel"}                       # not to be translated
GAP = re.compile(r"\{\*?\}")


class Texts(HTMLParser):
    """What a piece of HTML shows, without what is marked translate="no"."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.silent: list[bool] = [False]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        told = dict(attributes)
        silent = self.silent[-1] or told.get("translate") == "no" or tag in ("script", "style", "svg", "code", "pre")
        if not silent:
            self.found += [told[name] or "" for name in ATTRIBUTES if name in told]
        if tag not in VOID:
            self.silent.append(silent)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            self.silent.pop()

    def handle_data(self, data: str) -> None:
        if not self.silent[-1]:
            self.found.append(data)


def texts_of(html: str) -> list[str]:
    parser = Texts()
    parser.feed(html)
    return parser.found


def told_by(component: dict[str, Any]) -> Iterator[str]:
    """The words of one component of the page."""
    props = component["props"]
    yield from (props.get(name) for name in ("label", "info", "placeholder") if isinstance(props.get(name), str))
    if component["type"] == "button":
        yield props["value"]
    if component["type"] == "html":
        yield from texts_of(props["value"] or "")
    if component["type"] == "radio":
        yield from (label for label, _ in props["choices"])


@cache
def shown() -> tuple[str, ...]:
    """Every text with letters that the page shows by itself, in English."""
    import ui

    page = ui.build(Door(Settings(data=Path(tempfile.mkdtemp(prefix="easel-languages-")))))
    found = [text for component in page.get_config_file()["components"] for text in told_by(component)]
    found += [text for field in FIELDS.values() if not field.internal for text in (field.label, field.help)]
    for file in (HOME / "ui").rglob("*.html"):
        found += texts_of(file.read_text("utf-8"))
    plain = dict.fromkeys(" ".join(text.split()) for text in found)
    return tuple(text for text in plain if re.search(r"[A-Za-z]{2}", text) and text not in NAMES and text not in languages().values())


@cache
def sources() -> str:
    """All that the house is written in, with strings joined that a line end parts."""
    files = [file for root in ("ui", "backend") for file in (HOME / root).rglob("*") if file.suffix in (".py", ".js", ".html")]
    text = "\n".join(file.read_text("utf-8") for file in files)
    return " ".join(re.sub(r'"\s*\n\s*f?"', "", text).replace('\\"', '"').split())


def file(code: str) -> dict[str, str]:
    return json.loads((LANGUAGES / f"{code}.json").read_text("utf-8"))["texts"]


CODES = [code for code in languages() if code != "en"]


@pytest.mark.parametrize("code", CODES)
def test_all_that_the_page_shows_is_translated(code):
    assert [text for text in shown() if text not in file(code)] == []


@pytest.mark.slow
@pytest.mark.parametrize("code", CODES)
def test_no_file_translates_what_is_never_said(code):
    """Sentences that scripts put together are known by their words."""
    said, page = sources(), set(shown())
    words = set(re.findall(r"\w+", said))
    composed = [key for key in file(code) if key not in page and key not in said]
    assert [key for key in composed if not set(re.findall(r"\w+", key)) <= words] == []


@pytest.mark.parametrize("code", CODES)
def test_gaps_are_kept(code):
    assert [key for key, text in file(code).items() if sorted(GAP.findall(key)) != sorted(GAP.findall(text)) or not text.strip()] == []


# Who reads what is refused there is a program, somebody at a shell, or nobody but a developer.
NOT_ON_THE_PAGE = ("backend/http/a1111/*", "backend/http/api/*", "backend/http/openai/*", "backend/webhooks/*", "backend/http/guard.py", "backend/http/accounts/authentication.py",
                   "backend/http/async_watch.py", "backend/http/wrong_methods.py", "backend/flags.py", "backend/table.py", "backend/sampling/*",
                   "backend/image/foreign_metadata/*", "backend/prompt/prompt_editing.py", "backend/worker/device.py", "backend/request/preferences.py",
                   "backend/store/database.py", "backend/store/sqlite_file.py", "backend/store/postgres_server.py", "backend/store/database_recovery.py", "backend/catalog/headers.py", "backend/catalog/pickle_interpreter.py")
REFUSALS = {"Problem", "ValueError", "InvalidRequest", "NotFound", "NotAllowed", "UserError", "EaselError", "CheckpointError", "StorageError",
            "OutOfMemory", "TermError", "VariantError", "WrongAxis", "WrongValues", "WrongRecord"}


@cache
def module(path: str) -> ast.Module:
    return ast.parse((HOME / path).read_text("utf-8"))


@cache
def constants(path: str) -> dict[str, ast.expr]:
    """The words that have a name in a module, its own and those that it takes from others of the house."""
    found: dict[str, ast.expr] = {}
    for node in module(path).body:
        if isinstance(node, ast.ImportFrom) and (other := f"{(node.module or '').replace('.', '/')}.py").startswith("backend/") and (HOME / other).is_file():
            found |= {alias.asname or alias.name: constants(other)[alias.name] for alias in node.names if alias.name in constants(other)}
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.JoinedStr | ast.BinOp) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
    return found


def sentences(node: ast.expr, path: str) -> list[str]:
    """What an expression may say, with X1 for what is put in."""
    if isinstance(node, ast.IfExp):
        return sentences(node.body, path) + sentences(node.orelse, path)
    if isinstance(node, ast.Name) and node.id in constants(path):
        return sentences(constants(path)[node.id], path)
    if isinstance(node, ast.JoinedStr):
        told = "".join(str(part.value) if isinstance(part, ast.Constant) else "X1" for part in node.values)
        return [told] if re.search(r"[a-z]{3}", told) else []
    return [node.value] if isinstance(node, ast.Constant) and re.search(r"[a-z]{3}", str(node.value)) else []


def refused() -> Iterator[tuple[str, str]]:
    """Every sentence with which something is refused where the page may show it, and its file."""
    for file in (each for root in ("backend", "extensions") for each in sorted((HOME / root).rglob("*.py"))):
        path = file.relative_to(HOME).as_posix()
        if any(fnmatch(path, pattern) for pattern in NOT_ON_THE_PAGE):
            continue
        for node in ast.walk(module(path)):
            if isinstance(node, ast.Call) and node.args and getattr(node.func, "id", "") in REFUSALS:
                yield from ((path, text) for text in sentences(node.args[0], path))


@pytest.mark.parametrize("code", CODES)
def test_what_is_refused_is_translated(code):
    """The page puts a field's label before a sentence that begins in small letters, and a full stop behind it."""
    parts = [re.split(r"\{\*?\}", text) for text in file(code)]
    known = [(max(words, key=len), re.compile(".+".join(map(re.escape, words)), re.DOTALL)) for words in parts]

    def said(text: str) -> str:
        return text if text[:1].isupper() and text.endswith(".") else f"{'' if re.match('[A-Z][a-z]', text) else 'Label '}{text.removesuffix('.')}."

    told = [(path, said(text)) for path, text in refused()]
    assert [(path, text) for path, text in told if not any(longest in text and fits.fullmatch(text) for longest, fits in known)] == []


@pytest.mark.parametrize("code", CODES)
def test_what_cannot_be_written_is_translated_in_all_its_parts(code):
    purposes = re.findall(r'= Purpose\("([^"]+)"(?:, "([^"]+)")?\)', "\n".join(file.read_text("utf-8") for file in (HOME / "backend").rglob("*.py")))
    assert len(purposes) > 7
    reasons = {str(Purpose("{*}", "{*}").refused(OSError(code, "{}"))) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EIO)}
    assert reasons | {part or "try again" for pair in purposes for part in pair} <= file(code).keys()


@pytest.mark.parametrize("code", CODES)
def test_limits_are_explained_in_every_language(code):
    assert {text for limit in LIMITS.values() for text in (limit.label, limit.about)} <= file(code).keys()


@pytest.mark.parametrize("code", CODES)
def test_what_is_put_into_a_refusal_of_a_guide_is_translated_in_it(code):
    assert {*LABELS.values(), NOTICE, "Preprocessor {}"} <= file(code).keys()
    for refusal in ("{*} {} does not go with {}, which is {*}.", "{*} needs insightface's {}, which is not here: put its files ({}) into {}. {*}"):
        assert "{*}" in re.sub(r"^\{\*\}", "", file(code)[refusal])


def test_a_language_names_itself():
    assert languages() == {"en": "English", "de": "Deutsch"}
