"""The letters of a settings text: where its settings stand, `key: value` pairs, and values in quotes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from backend.image.infotext.keys import canonical, is_known

NEGATIVE = "Negative prompt:"
LEAST_PAIRS = 3         # fewer are words of a prompt

_RUN = re.compile(r"[\w \-/]+")
_VALUE = re.compile(r':\s*("(?:\\.|[^\\"])+"(?=,|$)|[^,]*)')
_PAIR = re.compile(r"(\d+)x(\d+)")
_TEMPLATE = re.compile(r"((?:Negative )?Template):", re.IGNORECASE)
_STEPS = re.compile(r"Steps: \d+, ([\w /-]+): [^,]*, ([\w /-]+):")
_HEAD = re.compile(r"((?:Negative )?Template|Time taken|Used embeddings|Torch active/reserved|Warning):", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Layout:
    """A settings text in its parts: the lines of the prompts, the settings as pairs, and templates beside them."""

    prompts: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...] = ()
    templates: tuple[tuple[str, str], ...] = ()


def quote(value: Any) -> Any:
    """A value as it stands after its key: JSON in quotes where commas, colons or line ends would break the line.

    Also where reading would otherwise strip or unquote it. Values that are not text come back as they are.
    """
    if not isinstance(value, str):
        return value
    plain = not any(c in value for c in ",\n:") and value == value.strip() and not value.startswith('"')
    return value if plain else json.dumps(value, ensure_ascii=False)


def unquote(text: str) -> str:
    """The inverse of `quote`; text that is not whole JSON in quotes comes back as it is."""
    if not (text.startswith('"') and text.endswith('"')):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def layout(text: str) -> Layout:
    """Prompts, settings and what stands beside them; without settings every line is a prompt's. Never raises.

    The settings are the last line, as AUTOMATIC1111 has it, or the last one with steps when other programs have
    written behind it. What stands behind them, and templates in front of them, are in neither prompt.
    Where the line ends before the settings were lost on the way, the prompts in that line are prompts all the same.
    """
    lines, place = _lines(text)
    if place is None:
        return Layout(tuple(lines))
    begin = _beside(lines, place)
    templates = (*_templates(lines[begin:place]), *_templates(lines[place + 1:]))
    return Layout(tuple(lines[:begin]), tuple(pairs(lines[place])), templates)


def appended(text: str, more: str) -> str:
    """A settings text with more pairs at the end of its settings; "" when it has no settings."""
    lines, place = _lines(text)
    if place is None:
        return ""
    return "\n".join([*lines[:place], ", ".join(filter(None, [lines[place], more])), *lines[place + 1:]])


def _lines(text: str) -> tuple[list[str], int | None]:
    """Its lines, and the number of the one that holds the settings, which is theirs alone, whatever stood there."""
    lines = text.strip().split("\n")
    place = _place(lines)
    if place is None:
        return lines, None
    words = _words_before_settings(lines[place])
    return [*lines[:place], *words, *lines[place + 1:]], place + len(words) - 1


def _words_before_settings(line: str) -> list[str]:
    """Prompt, negative prompt and settings of a line in which they follow each other; any other line as it is."""
    begin = next((found.start() for found in _STEPS.finditer(line) if all(map(_is_spelled, found.groups()))), 0)
    prompt, key, negative = line[:begin].strip().partition(NEGATIVE)
    told = [name for name, _ in pairs(prompt)]
    other_settings = any(map(is_known, told)) or told and not key and prompt.endswith(",")
    return [line] if other_settings else [part for part in (prompt.strip(), key + negative, line[begin:]) if part]


def _is_spelled(key: str) -> bool:
    """Whether a key is known, and written as its programs do."""
    return is_known(key) and key == canonical(key)


def _place(lines: list[str]) -> int | None:
    """The number of the line that holds the settings."""
    for place in reversed(range(len(lines))):
        if lines[place].count(":") >= LEAST_PAIRS and _tells(lines[place], last=place == len(lines) - 1):
            return place
    return None


def _tells(line: str, *, last: bool) -> bool:
    """Whether a line holds settings; one that others follow must tell the steps."""
    names = [key for key, _ in pairs(_words_before_settings(line)[-1])]
    known = [name for name in names if is_known(name)]
    spelled = any(name == canonical(name) for name in known) or len(known) >= LEAST_PAIRS
    return len(names) >= LEAST_PAIRS and spelled and (last or "Steps" in map(canonical, known))


def _beside(lines: list[str], place: int) -> int:
    """Where what belongs to no prompt begins, in front of the settings in line `place`."""
    begin = place
    for number in reversed(range(place)):
        if _is_negative(lines[number]):
            break
        begin = number if _TEMPLATE.match(lines[number]) else begin
    return begin


def _templates(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What was typed before wildcards were filled in, which may have several lines, by its key."""
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        if head := _HEAD.match(line):
            found.append((canonical(head[1]), [line[head.end():]]))
        elif found:
            found[-1][1].append(line)
    return ((key, "\n".join(told).strip()) for key, told in found if _TEMPLATE.fullmatch(f"{key}:"))


def pairs(line: str) -> Iterator[tuple[str, str]]:
    """`key: value` pairs of one line. A key has two characters or more; a value ends at a comma or is JSON text."""
    at = 0
    while run := _RUN.search(line, at):
        at, key = run.end(), run[0].lstrip(" -/")
        if len(key) >= 2 and (value := _VALUE.match(line, at)):
            yield key, value[1]
            at = value.end()


def _is_negative(line: str) -> bool:
    return line[:len(NEGATIVE)].casefold() == NEGATIVE.casefold()


def entry(key: str, value: str) -> dict[str, str]:
    """The key with its value; two keys for `NxM`, and none for a value that is missing (`""` is there, and empty)."""
    if not value:
        return {}
    key, value = canonical(key), unquote(value)
    if size := _PAIR.fullmatch(value):
        return {f"{key}-1": size[1], f"{key}-2": size[2]}
    return {key: value}


def prompts(found: Layout) -> tuple[str, str]:
    """The prompt and the negative prompt. Without settings its key counts as AUTOMATIC1111 spells it only."""
    parts: tuple[list[str], list[str]] = ([], [])
    negative = False
    for line in map(str.strip, found.prompts):
        if line.startswith(NEGATIVE) or found.pairs and _is_negative(line):
            negative, line = True, line[len(NEGATIVE):].strip()
        if line or parts[negative]:
            parts[negative].append(line)
    return "\n".join(parts[0]), "\n".join(parts[1])


def stated(text: str) -> dict[str, str]:
    """The prompts, and each key with its value as it stands in the text: nothing added, `NxM` whole. Never raises."""
    found = layout(text)
    told = dict(zip(("Prompt", "Negative prompt"), prompts(found), strict=True))
    settings = {canonical(key): unquote(value) for key, value in found.pairs if value}
    return told | {key: value for key, value in settings.items() if key not in told}
