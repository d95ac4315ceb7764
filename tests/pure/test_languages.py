"""Language files: all that the page shows has its translation, and nothing stands in them that the page never says."""

import ast
import json
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from backend import FIELDS
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


REFUSALS = ("request/field", "request/rules", "request/output_size", "catalog/guide_files", "catalog/network_problems",
            "catalog/model_catalog")
RAISED = {"Problem", "ValueError", "InvalidRequest", "NotFound", "CheckpointError", "TermError"}


def sentences(node: ast.expr) -> list[str]:
    """What an expression may say, with X1 for what is put in."""
    if isinstance(node, ast.IfExp):
        return sentences(node.body) + sentences(node.orelse)
    if isinstance(node, ast.JoinedStr):
        told = "".join(str(part.value) if isinstance(part, ast.Constant) else "X1" for part in node.values)
        return [told] if re.search(r"[a-z]{3}", told) else []
    return [node.value] if isinstance(node, ast.Constant) and re.search(r"[a-z]{3}", str(node.value)) else []


def refused() -> Iterator[str]:
    """What stands at a field that cannot be as it is, by the files that check fields."""
    for name in REFUSALS:
        for node in ast.walk(ast.parse((HOME / "backend" / f"{name}.py").read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args and getattr(node.func, "id", "") in RAISED:
                yield from sentences(node.args[0])


@pytest.mark.parametrize("code", CODES)
def test_what_a_field_is_refused_for_is_translated(code):
    """The page puts a field's label before the sentence, and a full stop behind it."""
    known = [re.compile("".join(".+" if GAP.fullmatch(part) else re.escape(part) for part in re.split(r"(\{\*?\})", text)), re.DOTALL) for text in file(code)]
    assert [text for text in refused() if not any(each.fullmatch(f"Label {text.removesuffix('.')}.") for each in known)] == []


def test_a_language_names_itself():
    assert languages() == {"en": "English", "de": "Deutsch"}
