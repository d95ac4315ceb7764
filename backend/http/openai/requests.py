"""OpenAI's words for a picture, as field values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backend import FIELDS, Backend, InvalidRequest, NotFound, Problem
from backend.http.easel.jobs import from_outside

MOST = 10                       # pictures of one call
LONGEST = 32_000                # characters of a prompt
THEIRS = re.compile(r"(gpt-image|chatgpt-image|dall-e)[\w.-]*")     # their models mean the default checkpoint
EFFORT = {"low": 0.5, "medium": 1.0, "standard": 1.0, "auto": 1.0, "high": 1.5, "hd": 1.5, "xhigh": 2.0, "max": 3.0}
FIDELITY = {"low": 0.75, "high": 0.5}       # how much an edit may change: the denoising strength
FILE_FORMATS = {"png": "png", "jpeg": "jpg", "webp": "webp"}
NO_EFFECT = ("user", "safety_identifier", "moderation", "style")
PARAMS = {"width": "size", "height": "size", "batch_count": "n", "checkpoint": "model", "init_image": "image",
          "image_format": "output_format", "image_quality": "output_compression"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as it was understood; `values` are for the field table."""

    values: dict[str, Any] = field(default_factory=dict)
    quality: str = "auto"
    file_format: str = "png"
    as_url: bool = False
    partial_images: int = 0
    stream: bool = False


def understood(body: Mapping[str, Any], backend: Backend, *, needs_prompt: bool = True) -> Asked:
    """InvalidRequest names every parameter that is wrong or cannot be honoured, NotFound an unknown model."""
    asked = _Reader({name: value for name, value in body.items() if value is not None and name not in NO_EFFECT})
    values = {"prompt": asked.text("prompt", needed=needs_prompt), "batch_count": asked.number("n", 1, 1, MOST),
              "checkpoint": _checkpoint(asked.take("model"), backend), **_size(asked)}
    quality, kind = asked.choice("quality", "auto", EFFORT), asked.choice("output_format", "png", FILE_FORMATS)
    asked.choice("background", "auto", ("auto", "opaque"))
    values |= {"image_format": FILE_FORMATS.get(kind, "png"), **_compression(asked, kind), **_fidelity(asked)}
    as_url = asked.choice("response_format", "b64_json", ("b64_json", "url")) == "url"
    stream, partial = asked.switch("stream"), asked.number("partial_images", 0, 0, 3)
    extra = asked.rest()
    if asked.problems:
        raise InvalidRequest(problems=asked.problems)
    if EFFORT[quality] != 1.0:
        values["steps"] = _steps(backend, values["checkpoint"], EFFORT[quality])
    return Asked({**values, **extra}, quality, kind, as_url, partial, stream)


def in_their_words(error: InvalidRequest) -> InvalidRequest:
    """The same problems, each under the parameter that OpenAI has for the field."""
    return InvalidRequest(problems=[Problem(one.message, PARAMS.get(one.field, one.field)) for one in error.problems])


class _Reader:
    """Takes parameters out of a body; what is wrong is collected in `problems`. A form has nothing but texts."""

    def __init__(self, body: dict[str, Any]) -> None:
        self._body = body
        self.problems: list[Problem] = []

    def take(self, name: str) -> Any:
        return self._body.pop(name, None)

    def text(self, name: str, *, needed: bool) -> str:
        value = self.take(name)
        if value is None and not needed:
            return ""
        return value if isinstance(value, str) and len(value) <= LONGEST else self._wrong(
            name, f"must be a text of at most {LONGEST:,} characters", "")

    def number(self, name: str, usual: int, least: int, most: int) -> int:
        value = self.take(name)
        if value is None:
            return usual
        number = int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,4}", value, re.ASCII) else value
        fits = isinstance(number, int) and not isinstance(number, bool) and least <= number <= most
        return number if fits else self._wrong(name, f"must be between {least} and {most}", usual)

    def choice(self, name: str, usual: str, choices: Any) -> str:
        value = self.take(name)
        if value is None:
            return usual
        known = isinstance(value, str) and value in choices
        return value if known else self._wrong(name, f"must be one of {', '.join(choices)} here", usual)

    def switch(self, name: str) -> bool:
        value = self.take(name)
        told = {None: False, "true": True, "false": False, True: True, False: False}
        is_known = isinstance(value, bool | str | None) and value in told
        return told[value] if is_known else self._wrong(name, "must be true or false", False)

    def rest(self) -> dict[str, Any]:
        """Other names are fields of Easel's own table."""
        own = {name: value for name, value in from_outside(self._body).items() if name in FIELDS}
        self.problems += [Problem("cannot be honoured here", name) for name in self._body if name not in own]
        return own

    def fail(self, name: str, message: str) -> None:
        self.problems.append(Problem(message, name))

    def _wrong(self, name: str, message: str, usual: Any) -> Any:
        self.fail(name, message)
        return usual


def _checkpoint(name: Any, backend: Backend) -> str:
    """NotFound with OpenAI's word for it."""
    if name is None or isinstance(name, str) and (not name or THEIRS.fullmatch(name)):
        return ""
    try:
        return backend.checkpoint(str(name)).key
    except NotFound as error:
        raise NotFound(str(error), field="model") from None


def _size(asked: _Reader) -> dict[str, int]:
    size = asked.take("size")
    if size is None or size == "auto":
        return {}
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size, re.ASCII) if isinstance(size, str) else None
    if found is None:
        asked.fail("size", "must be auto, or width and height such as 512x768")
        return {}
    return {"width": int(found[1]), "height": int(found[2])}


def _compression(asked: _Reader, kind: str) -> dict[str, int]:
    quality = asked.number("output_compression", 100, 0, 100)
    if kind == "png":
        if quality != 100:
            asked.fail("output_compression", "PNG has none; ask for jpeg or webp")
        return {}
    return {"image_quality": max(quality, 1)}


def _fidelity(asked: _Reader) -> dict[str, float]:
    fidelity = asked.choice("input_fidelity", "", FIDELITY)
    return {"denoising_strength": FIDELITY[fidelity]} if fidelity else {}


def _steps(backend: Backend, checkpoint: str, effort: float) -> int:
    steps = FIELDS["steps"]
    usual = backend.defaults(checkpoint).get("steps", steps.default)
    return min(max(round(usual * effort), 1), int(steps.maximum or usual))
