"""AUTOMATIC1111's prompts from a file or textbox: each line is a picture, with options of its own if it wants.

    a lighthouse at dawn
    --prompt "a lighthouse" --steps 30 --cfg_scale 5 --seed 7

A line's prompt stands before or behind the prompt of the form.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.errors import InvalidRequest
from backend.plots.axis import Axis, Point, Sources
from backend.plots.cells import MAX_CELLS, ChosenAxis
from backend.plots.field_axes import field_value
from backend.plots.plain_words import is_plain
from backend.request.choices import GFPGAN, NO_RESTORER
from backend.request.request import FIELDS, MAX_SEED

LINE = "Prompt line"
TEXTS = ("prompt", "negative_prompt")
SEEDS = ("seed", "variation_seed", "variation_strength")
PLAIN = "words"
NAMES = {
    "sd_model": "checkpoint", "prompt": "prompt", "negative_prompt": "negative_prompt", "styles": "styles",
    "seed": "seed", "subseed": "variation_seed", "subseed_strength": "variation_strength",
    "seed_resize_from_h": "seed_resize_from_h", "seed_resize_from_w": "seed_resize_from_w", "sampler_name": "sampler",
    "scheduler": "schedule", "batch_size": "batch_size", "n_iter": "batch_count", "steps": "steps",
    "cfg_scale": "cfg_scale", "width": "width", "height": "height", "tiling": "tiling",
    "restore_faces": "face_restoration",
}
"""A1111's options of a line, by the field that each becomes."""
# As a POSIX shell and Python's shlex have them; shlex itself takes minutes for a line of some megabytes.
_PIECE = re.compile(r"""([^ \t\r\n'"\\]++)|'([^']*+)'|"((?:[^"\\]++|\\.)*+)"|\\(.)|([ \t\r\n]++)""", re.DOTALL)
_ESCAPED = re.compile(r"""\\(["\\])""")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class LineRules:
    """A1111's choices: one seed for all lines, or one that counts up, and where a line's prompt stands."""

    iterate_seed: bool = False
    same_seed: bool = False
    position: str = "start"

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> LineRules:
        """InvalidRequest names the option that is wrong."""
        position = options.get("position", "start")
        if position not in ("start", "end"):
            raise InvalidRequest("must be start or end", field="options.position")
        return cls(bool(options.get("iterate_seed")), bool(options.get("same_seed")), position)


def line_axis(text: Any, values: Mapping[str, Any], rules: LineRules, sources: Sources) -> ChosenAxis:
    """The axis of lines for a request's values. InvalidRequest names each line that is wrong."""
    if not isinstance(text, str):
        raise InvalidRequest("must be text", field="options.text")
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    if not lines:
        raise InvalidRequest("needs at least one line", field="options.text")
    if len(lines) > MAX_CELLS:
        raise InvalidRequest(f"has {len(lines):,} lines; a plot has at most {MAX_CELLS:,} cells", field="options.text")
    each = values["batch_size"] * values["batch_count"]
    read = []
    for number, line in enumerate(lines):
        try:
            found = _read(line, sources)
        except ValueError as error:
            raise InvalidRequest(f"Line {number + 1}: {error}", field="options.text") from None
        seed = {"seed": (values["seed"] + number * each) % (MAX_SEED + 1)} if rules.iterate_seed else {}
        read.append((line, seed | found))
    axis = Axis(LINE, "text", lambda base, point: _changed(base, point, rules.position), tuple(set(NAMES.values())),
                show=lambda value: value[0], alike=_told_apart)
    return ChosenAxis(axis, text, tuple(read))


def _changed(base: Mapping[str, Any], point: Point, position: str) -> dict[str, Any]:
    _, found = point.value
    texts = {}
    for name in TEXTS:
        if found.get(name) and base[name]:
            both = (found[name], base[name]) if position == "start" else (base[name], found[name])
            texts[name] = " ".join(both)
    return {**found, **texts}


def _told_apart(value: tuple[str, Mapping[str, Any]]) -> tuple[tuple[str, Any], ...]:
    """By what a line may fail or cost more than another: not by its seeds, nor by which words it has."""
    found = value[1]
    return tuple((name, PLAIN if name in TEXTS and found[name] and is_plain(found[name]) else found[name])
                 for name in sorted(found) if name not in SEEDS)


def _read(line: str, sources: Sources) -> dict[str, Any]:
    """Field values of a line. Raises ValueError, a sentence about it."""
    if "--" not in line:
        return {"prompt": line}
    words, found = deque(_words(line)), {}
    while words:
        option = words.popleft()
        if not option.startswith("--"):
            raise ValueError(f"'{option[:60]}' must begin with --, or stand in quotes behind --prompt")
        name, own = option[2:], []
        while words and not words[0].startswith("--"):
            own.append(words.popleft())
        if not own or len(own) > 1 and name not in TEXTS:
            raise ValueError(f"{option[:60]} needs one value behind it")
        found |= _option(name, " ".join(own), sources)
    return found


def _words(line: str) -> list[str]:
    """The words of a line, quotes taken off. Raises ValueError for a quotation or an escape without an end."""
    words, parts, at = [], [], 0
    while at < len(line):
        piece = _PIECE.match(line, at)
        if piece is None:
            raise ValueError("No escaped character" if line[at] == "\\" else "No closing quotation")
        bare, single, double, escaped, space = piece.groups()
        if space is None:
            quoted = _ESCAPED.sub(r"\1", double) if double is not None else single
            parts.append(quoted if quoted is not None else bare or escaped)
        elif parts:
            words.append("".join(parts))
            parts = []
        at = piece.end()
    return [*words, "".join(parts)] if parts else words


def _option(name: str, word: str, sources: Sources) -> dict[str, Any]:
    if name not in NAMES:
        raise ValueError(f"--{name[:60]} is not an option that Easel has; there are --{', --'.join(NAMES)}")
    if name == "restore_faces":
        on = _BOOLEANS.get(word.strip().casefold())
        return {NAMES[name]: GFPGAN if on else NO_RESTORER}
    value: Any = word.split(",") if name == "styles" else word
    try:
        return {NAMES[name]: field_value(FIELDS[NAMES[name]], value, sources)}
    except ValueError as error:
        raise ValueError(f"--{name} '{word[:60]}' {error}") from None
