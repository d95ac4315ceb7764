"""What a person may prefer: settings copied into each job, what a tab starts with, and how the page looks.

    values of the settings       {"image_format": "webp", "preview_every": 1}
    what a tab starts with       {"defaults.txt2img": {"steps": 30}}
    the look                     {"theme": "dark", "language": "de"}
    fields in the page's bar     {"pins": ["sampler", "image_format"]}
    what is told at a job's end  {"end_sound": "on", "end_notice": "on"}
    sets of guides               {"guides.my pose": [{"module": "canny", ...}]}, see `guide_sets`
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from backend.errors import InvalidRequest, Problem
from backend.image import file_names
from backend.request import guide_sets
from backend.request.field import Field, clean
from backend.request.request import FIELDS, Request

GROUPS = ("files", "preview", "extension_settings")
SETTINGS: Mapping[str, Field] = FIELDS.where(lambda field: field.group in GROUPS)
TABS = ("txt2img", "img2img")
DEFAULTS = tuple(f"defaults.{tab}" for tab in TABS)
THEMES = ("system", "light", "dark")
ONE_OF = {"theme": THEMES, "end_sound": ("off", "on"), "end_notice": ("off", "on")}
BROWSER = "browser"             # the language that the browser asks for, if there is a file for it
_LANGUAGE = re.compile(rf"[a-z]{{2,3}}(-[A-Za-z]{{2,8}})?|{BROWSER}")

EXAMPLE = {"prompt": "a lighthouse at dusk, oil painting", "seed": 1234567890, "checkpoint": "demo", "batch_count": 2}

# What a tab does not start with: pictures and lists of them, what all tabs share or what to draw, and settings.
_OWN = ("checkpoint", "prompt")
STARTS: Mapping[str, Field] = FIELDS.where(
    lambda field: not (field.kind in ("picture", "pictures") or field.listed or field.internal
                       or field.name in (*_OWN, *SETTINGS))
)


PINS = "pins"
MOST_PINS = 12
_ONE_CONTROL = ("int", "float", "seed", "bool", "choice", "upscaler", "second_checkpoint", "vae", "text", "texts")
PINNABLE: Mapping[str, Field] = FIELDS.where(
    lambda field: field.kind in _ONE_CONTROL and not field.internal and field.name not in _OWN
)


def changed(chosen: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """What is chosen after untrusted `values` came to it; None takes a choice away.

    Raises InvalidRequest naming every wrong one.
    """
    problems: list[Problem] = []
    found = {str(name): _value(str(name), value, problems) for name, value in values.items()}
    after = {name: value for name, value in {**chosen, **found}.items() if value is not None}
    problems = problems or _patterns(after) + guide_sets.check_count(after)
    if problems:
        raise InvalidRequest(problems=problems)
    return after


def readable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of stored values that this Easel understands."""
    found = {}
    for name, value in values.items():
        problems: list[Problem] = []
        kept = _value(name, value, problems)
        if not problems or name in DEFAULTS or guide_sets.is_set(name):
            found[name] = kept
    return {name: value for name, value in found.items() if value not in (None, {}, [])}


def settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are copied into a job."""
    return {name: value for name, value in values.items() if name in SETTINGS and value is not None}


def example(values: Mapping[str, Any], user: str) -> str:
    """The name that a picture gets with these settings."""
    request = Request(**{**EXAMPLE, **settings(values)})
    subject = file_names.Subject(request=request, job="example", created=datetime.now(UTC), index=0, user=user,
                             model_hash="6ce0161689")
    return str(file_names.path(subject))


def _patterns(values: Mapping[str, Any]) -> list[Problem]:
    patterns = {name: value for name, value in settings(values).items() if "pattern" in name}
    return file_names.problems(Request(**patterns))


def _value(name: str, value: Any, problems: list[Problem]) -> Any:
    """The clean value; None and a problem where it is wrong."""
    if value is None:
        return None
    if name in DEFAULTS:
        return _start(name, value, problems)
    if guide_sets.is_set(name):
        return guide_sets.cleaned(name, value, problems)
    try:
        if name == PINS:
            return _pins(value)
        return _look(name, value) if name not in SETTINGS else clean(SETTINGS[name], value)
    except ValueError as error:
        problems.append(Problem(str(error), name))
        return None


def _pins(value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) > MOST_PINS:
        raise ValueError(f"must be a list of at most {MOST_PINS} fields")
    unknown = [name for name in value if not isinstance(name, str) or name not in PINNABLE]
    if unknown:
        raise ValueError(f"holds what is no field that can be pinned: {str(unknown[0])[:80]}")
    return list(dict.fromkeys(value))


def _look(name: str, value: Any) -> str:
    if name in ONE_OF:
        if value in ONE_OF[name]:
            return value
        raise ValueError(f"must be one of: {', '.join(ONE_OF[name])}")
    if name == "language":
        if isinstance(value, str) and _LANGUAGE.fullmatch(value):
            return value
        raise ValueError("must be a language's code, such as de")
    raise ValueError("is not a preference that Easel knows")


def _start(name: str, values: Any, problems: list[Problem]) -> dict[str, Any] | None:
    if not isinstance(values, Mapping):
        problems.append(Problem("must be an object of field names and values", name))
        return None
    return dict(_starts(name, values, problems))


def _starts(name: str, values: Mapping[str, Any], problems: list[Problem]) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        try:
            if key not in STARTS:
                raise ValueError("is not a field that a tab can start with")
            kept = clean(STARTS[key], value)
        except ValueError as error:
            problems.append(Problem(str(error), f"{name}.{key}"))
        else:
            yield key, _plain(STARTS[key], kept)


def _plain(field: Field, value: Any) -> Any:
    """As JSON has it; a seed as text, since a page's numbers have 53 bits."""
    if field.kind == "seed":
        return str(value)
    return list(value) if isinstance(value, tuple) else value
