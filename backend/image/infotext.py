"""The text inside a picture that tells how it was made, in AUTOMATIC1111's format.

    a prompt of any number of lines
    Negative prompt: the same
    Steps: 20, Sampler: Euler a, ..., Version: Easel 0.1.0

`parse` reads what AUTOMATIC1111 1.10.1 reads, in linear time; `write` and `to_values` go by the field table. What that
format cannot carry (a prompt line that begins with "Negative prompt:", white space at a line's ends, a schedule named
though it is the sampler's own) travels as JSON in one more key, `Easel`, which other programs pass over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from backend.errors import InvalidRequest
from backend.image import infotext_records
from backend.image.infotext_compatibility import IMPLIED, add_defaults, add_history, parse_version
from backend.image.postprocessing import infotext_values
from backend.prompt.styles import extract_styles
from backend.prompt.variants import varies
from backend.request.field import Field
from backend.request.record import plain
from backend.request.request import FIELDS, RESOLVED, Request
from backend.request.rules import EXTRAS
from backend.sampling.names import sampler_named, schedule_named, split_suffix
from backend.sampling.samplers import SAMPLERS
from backend.sampling.schedules import SCHEDULES
from backend.table import Table
from backend.version import VERSION

NEGATIVE = "Negative prompt:"
EXACT = "Easel"
ORDER = (
    "Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Model hash", "Model", "VAE hash", "VAE",
    "Variation seed", "Variation seed strength", "Seed resize from", "Denoising strength", "Clip skip", "ENSD", "RNG",
)  # fmt: skip
"""AUTOMATIC1111's first keys; others of the table, then of the worker, follow in their own order."""

_PROMPTS = ("Prompt", "Negative prompt")
_STYLED = (*_PROMPTS, "Hires prompt", "Hires negative prompt")

_RUN = re.compile(r"[\w \-/]+")
_VALUE = re.compile(r':\s*("(?:\\.|[^\\"])+"(?=,|$)|[^,]*)')
_PAIR = re.compile(r"(\d+)x(\d+)")


# ---- quoting ----


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


# ---- reading ----


def parse(
    text: str, *, styles: Sequence[Mapping[str, str]] = (), opts: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What AUTOMATIC1111 1.10.1's `parse_generation_parameters` gives for `text`; never raises.

    Values that stand in the text are strings, `NxM` makes `Key-1` and `Key-2`; defaults that it adds may be numbers.
    `styles` are its prompt styles (name, prompt, negative_prompt). `opts` are its settings infotext_styles
    ("Apply if any", "Apply", "Ignore", "Discard"), infotext_skip_pasting (keys) and auto_backcompat.
    """
    opts = opts or {}
    lines, pairs = _split(text)
    found: dict[str, Any] = {}
    for key, value in pairs:
        found |= _entry(key, value)
    prompts = _prompts(lines)
    if opts.get("infotext_styles", "Apply if any") != "Ignore":
        prompts = _without_styles(found, prompts, styles, opts)
    found["Prompt"], found["Negative prompt"] = prompts
    add_defaults(found)
    if opts.get("auto_backcompat", True):
        add_history(found)
    for key in opts.get("infotext_skip_pasting", ()):
        found.pop(key, None)
    return found


def stated(text: str) -> dict[str, str]:
    """The prompts, and each key with its value as it stands in the text: nothing added, `NxM` whole. Never raises."""
    lines, pairs = _split(text)
    prompts = dict(zip(_PROMPTS, _prompts(lines), strict=True))
    return prompts | {key: unquote(value) for key, value in pairs if value and key not in prompts}


def _split(text: str) -> tuple[list[str], list[tuple[str, str]]]:
    """The lines of the prompts, and the pairs of the last line; fewer than three are words of a prompt."""
    lines = text.strip().split("\n")
    pairs = list(_pairs(lines[-1]))
    return (lines[:-1], pairs) if len(pairs) >= 3 else (lines, [])


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    """`key: value` pairs of one line. A key has two characters or more; a value ends at a comma or is JSON text."""
    at = 0
    while run := _RUN.search(line, at):
        at, key = run.end(), run[0].lstrip(" -/")
        if len(key) >= 2 and (value := _VALUE.match(line, at)):
            yield key, value[1]
            at = value.end()


def _entry(key: str, value: str) -> dict[str, str]:
    """The key with its value; two keys for `NxM`, and none for a value that is missing (`""` is there, and empty)."""
    if not value:
        return {}
    value = unquote(value)
    if size := _PAIR.fullmatch(value):
        return {f"{key}-1": size[1], f"{key}-2": size[2]}
    return {key: value}


def _prompts(lines: Iterable[str]) -> tuple[str, str]:
    parts: tuple[list[str], list[str]] = ([], [])
    negative = False
    for line in map(str.strip, lines):
        if line.startswith(NEGATIVE):
            negative, line = True, line.removeprefix(NEGATIVE).strip()
        if line or parts[negative]:
            parts[negative].append(line)
    return "\n".join(parts[0]), "\n".join(parts[1])


def _without_styles(
    found: dict[str, Any], prompts: tuple[str, str], styles: Sequence[Mapping[str, str]], opts: Mapping[str, Any]
) -> tuple[str, str]:
    """The prompts less their styles, unless the prompts of the hires pass hold other styles."""
    names, *plain = extract_styles(styles, *prompts)
    version = parse_version(found.get("Version"))
    hires = [found.get(f"Hires {key}", own) for key, own in zip(("prompt", "negative prompt"), prompts, strict=True)]
    if ("Hires prompt" in found or "Hires negative prompt" in found) and (version is None or version > (1, 8, 0, 139)):
        hires_names, *hires_plain = extract_styles(styles, *hires)
        if hires_names != names:
            return prompts
        for key, own, other in zip(("Hires prompt", "Hires negative prompt"), plain, hires_plain, strict=True):
            found[key] = "" if own == other else other
    wanted = opts.get("infotext_styles", "Apply if any")
    if wanted == "Apply" or (wanted == "Apply if any" and names):
        found["Styles array"] = names
    return plain[0], plain[1]


# ---- parsed text -> request values ----


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says in terms of the field table.

    `values` are valid, by field name. `checkpoint` among them is the model's hash where the text has one, and
    `model` then still tells its name, for a catalogue that does not know the hash. `dropped` are the keys whose
    values no request can have.
    """

    values: dict[str, Any]
    dropped: tuple[str, ...] = ()
    model: str = ""


def read(text: str, request_json: str | None = None, styles: Sequence[Mapping[str, str]] = ()) -> Reading:
    """The request values that an infotext holds; a text without parameters is only a prompt. Never raises.

    `request_json`, the exact request that Easel stores beside the text, comes first; only a checkpoint's hash is
    still taken from the text, because the same model may have another name here. Those of `styles` that the prompts
    hold are named, and taken out of them.
    """
    params = parse(text)
    reading = to_values(params)
    exact, _ = _valid({name: value for name, value in _exactly(request_json).items() if FIELDS[name].infotext})
    if params.get("Model hash"):
        exact.pop("checkpoint", None)
    values = reading.values | exact
    has_settings = not values.keys() <= {"prompt", "negative_prompt"}
    return replace(reading, values=values | _styles(text, styles) if styles and has_settings else values)


def _styles(text: str, styles: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The values of `styles` and of the prompts without them; of no style, none of the prompts'."""
    params = parse(text, styles=styles)
    names = tuple(params.get("Styles array", ()))
    prompts = (field for field in FIELDS.values() if field.infotext in _STYLED and field.infotext in params)
    return {"styles": names} | ({field.name: params[field.infotext] for field in prompts} if names else {})


def to_values(params: Mapping[str, Any]) -> Reading:
    """Request values from what `parse` found; keys outside the field table are passed over. Never raises."""
    only_prompts = not set(params) - IMPLIED
    if only_prompts:
        params = {key: params[key] for key in _PROMPTS if key in params}
    said = {name: value for name, value in _by_field(params).items() if value is not None} | _sampling(params)
    model = str(said.get("checkpoint", ""))
    if params.get("Model hash"):
        said["checkpoint"] = params["Model hash"]
    values, dropped = _valid(said)
    values = values if only_prompts else _left_out() | {"enable_hr": _with_hires(params)} | _as_drawn(values) | values
    return Reading(values | _exact(params, values), tuple(dict.fromkeys(FIELDS[n].infotext for n in dropped)), model)


def _with_hires(params: Mapping[str, Any]) -> bool:
    """AUTOMATIC1111 has no key for hires fix itself: it was on where one of its sizes is told."""
    return "Hires upscale" in params or any(str(params.get(f"Hires resize-{i}", 0)) != "0" for i in (1, 2))


def _as_drawn(values: Mapping[str, Any]) -> dict[str, Any]:
    """A picture's prompts are as they were drawn: braces and wildcards that stand in them were not filled in."""
    return {"prompt_expansion": "Off"} if any(varies(values.get(name, "")) for name in RESOLVED) else {}


def _left_out() -> dict[str, Any]:
    """What keys mean that the writer leaves out at their default, so that a checkpoint's defaults do not step in."""
    fields = (field for field in FIELDS.values() if field.infotext and not field.infotext_always)
    return {field.name: field.default for field in fields}


def _by_field(params: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for key, fields in _keys().items():
        names = [key] if len(fields) == 1 else [f"{key}-{i}" for i in range(1, len(fields) + 1)]
        found |= {field.name: params.get(name) for field, name in zip(fields, names, strict=True)}
    return found | infotext_records.read_records(params, _inner_pairs)


def _inner_pairs(text: str) -> Iterator[tuple[str, str]]:
    return ((key, unquote(value)) for key, value in _pairs(text))


def _by_key(table: Table[Field]) -> dict[str, list[Field]]:
    keys: dict[str, list[Field]] = {}
    for field in table.values():
        if field.infotext and field.kind != "records":
            keys.setdefault(field.infotext, []).append(field)
    return keys


_keys = FIELDS.derived(_by_key)
"""Infotext key -> its fields, in table order; two fields share a key that is written `NxM`."""


def _valid(said: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The values that a request accepts, cleaned, and the names of the others."""
    said, dropped = dict(said), []
    while True:
        try:
            request = Request.parse(said)
        except InvalidRequest as error:
            wrong = {problem.field for problem in error.problems} & set(said)
            dropped += sorted(wrong)
            said = {name: value for name, value in said.items() if name not in wrong} if wrong else {}
        else:
            return {name: getattr(request, name) for name in said}, dropped


def _exact(params: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields from the `Easel` key, if the rest of the text agrees with all of them: an edited prompt is believed."""
    claimed = _known(params.get(EXACT))
    if not claimed:
        return {}
    try:
        request = Request.parse({**values, **claimed})
    except InvalidRequest:
        return {}
    plain = to_values(parse(_compose(request, {}))).values
    agrees = all(plain.get(name) == values.get(name) for name in claimed)
    return {name: getattr(request, name) for name in claimed} if agrees else {}


def _exactly(text: str | None) -> dict[str, Any]:
    """The fields of a stored request; of one for Extras only its own: its text tells how the source was drawn."""
    found = _known(text)
    if found.get("process") != EXTRAS:
        return found
    return {name: value for name, value in found.items() if FIELDS[name].group == "extras"}


def _known(text: str | None) -> dict[str, Any]:
    """The fields of the table in a JSON object; none in anything else."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return {name: found[name] for name in FIELDS if name in found} if isinstance(found, dict) else {}


# ---- writing ----


def write(request: Request, facts: Mapping[str, Any] | None = None) -> str:
    """The infotext of one picture's request; `facts` are keys that only the worker knows, such as "Model hash".

    Fields at their default are left out unless the table says otherwise. `read` gives back every field that has an
    infotext key, except that a checkpoint comes back as its "Model hash" where `facts` has one, and that a
    variation seed without strength, which changes nothing, is left out.
    """
    facts = facts or {}
    if request.process == EXTRAS:
        return _with_afterwards(request, facts)
    lost = {name: value for name, value in _lost(request).items() if name != "checkpoint" or "Model hash" not in facts}
    return _compose(request, facts, lost)


def _with_afterwards(request: Request, facts: Mapping[str, Any]) -> str:
    """The source's own text, with AUTOMATIC1111's keys of what Extras did behind it.

    AUTOMATIC1111 keeps them in a chunk of their own, where its reader does not look.
    """
    pairs = [_pair(key, _number(value)) for key, value in (infotext_values(request) | dict(facts)).items()]
    text = request.source_text.strip()
    if _split(text)[1]:
        return ", ".join([text, *pairs])
    return "\n".join(filter(None, [text, ", ".join(["Process: Extras", *pairs, f"Version: Easel {VERSION}"])]))


def _compose(request: Request, facts: Mapping[str, Any], lost: Mapping[str, Any] | None = None) -> str:
    entries = _entries(request) | {key: _number(value) for key, value in facts.items() if value is not None}
    if lost:
        entries[EXACT] = json.dumps({name: plain(value) for name, value in lost.items()}, ensure_ascii=False)
    ordered = {key: entries[key] for key in ORDER if key in entries} | entries
    ordered["Version"] = f"Easel {VERSION}"
    line = ", ".join(_pair(key, value) for key, value in ordered.items() if value)
    negative = f"\n{NEGATIVE} {request.negative_prompt}" if request.negative_prompt else ""
    return f"{request.prompt}{negative}\n{line}".strip()


def _pair(key: str, value: Any) -> str:
    """AUTOMATIC1111 writes a key that equals its value alone; a field of the table would be lost that way."""
    alone = key == value and key not in _keys() and not infotext_records.is_record_key(key)
    return key if alone else f"{key}: {quote(str(value))}"


def _entries(request: Request) -> dict[str, str]:
    """Key -> text, in table order, without the prompts."""
    found = {}
    for key, fields in _keys().items():
        values = [getattr(request, field.name) for field in fields]
        always = any(field.infotext_always for field in fields)
        changed = values != [field.default for field in fields]
        if key not in _PROMPTS and not request.idle(fields[0]) and (always or changed):
            found[key] = "x".join(map(_number, values))
    found |= {"Schedule type": _schedule(request.sampler, request.schedule)}
    return found | infotext_records.write_records(request, lambda key, value: _pair(key, _number(value)))


def _number(value: Any) -> str:
    """Python's shortest form that reads back to the same number; whole ones without their `.0`."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _lost(request: Request) -> dict[str, Any]:
    """Fields that the plain text would not give back as they are."""
    plain = to_values(parse(_compose(request, {}))).values
    fields = [field for field in FIELDS.values() if field.infotext and not request.idle(field)]
    exact = {field.name: getattr(request, field.name) for field in fields}
    return {name: value for name, value in exact.items() if plain.get(name, FIELDS[name].default) != value}


# ---- sampler and schedule ----


def _schedule(sampler: str, schedule: str) -> str:
    """AUTOMATIC1111 writes the schedule that Automatic stood for, where the sampler names one."""
    return _own_schedule(sampler) if schedule == "Automatic" else schedule


def _own_schedule(sampler: str) -> str:
    schedule = SAMPLERS[sampler].schedule
    return "Automatic" if schedule == "Uniform" else schedule


def _sampling(params: Mapping[str, Any]) -> dict[str, str]:
    """Sampler and schedule; old texts name the schedule behind the sampler, and the sampler's own is Automatic."""
    sampler = params.get("Sampler")
    if sampler is None:
        return {}
    name, suffix = split_suffix(str(sampler), SCHEDULES["Automatic"])
    schedule = str(params.get("Schedule type", "Automatic")) if name == sampler else suffix.label
    try:
        own = _own_schedule(sampler_named(name).label) == schedule_named(schedule).label
    except ValueError:
        own = False  # an unknown name is reported with the other values that no request can have
    return {"sampler": name, "schedule": "Automatic" if own else schedule}
