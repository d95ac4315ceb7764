"""A settings text as values that a request can have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from backend.errors import InvalidRequest, Problem
from backend.image.infotext import records
from backend.image.infotext.compatibility import IMPLIED
from backend.image.infotext.composing import EXACT, PROMPTS, by_key, composed
from backend.image.infotext.parsing import parse
from backend.image.infotext.sampling import sampling
from backend.image.infotext.script_keys import script_values
from backend.image.infotext.syntax import pairs, unquote
from backend.prompt.comments import has_comments
from backend.prompt.variants import varies
from backend.request.choices import EXTRAS
from backend.request.detailer import SPOKEN
from backend.request.request import FIELDS, RESOLVED, Request

_STYLED = (*PROMPTS, "Hires prompt", "Hires negative prompt")
_IN_RECORD = re.compile(r"(\w+)\[(\d+)\]")
_HIRES = ("Hires upscale", "Hires upscaler", "Hires steps")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says in terms of the field table.

    `values` are valid, by field name. `checkpoint` among them is the model's hash where the text has one, and
    `model` then still tells its name, for a catalogue that does not know the hash. `problems` name the fields whose
    values no request can have.
    """

    values: dict[str, Any]
    problems: tuple[Problem, ...] = ()
    model: str = ""

    @property
    def dropped(self) -> tuple[str, ...]:
        """The keys whose values no request can have; a record's is that of it alone: `ControlNet 1`."""
        return tuple(dict.fromkeys(key_of(problem.field) for problem in self.problems))


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
        params = {key: params[key] for key in PROMPTS if key in params}
    own = {name: value for name, value in (_by_field(params) | sampling(params)).items() if value is not None}
    said = script_values(params) | own
    model = str(said.get("checkpoint", ""))
    if params.get("Model hash"):
        said["checkpoint"] = params["Model hash"]
    values, problems = _valid(said)
    values = values if only_prompts else _left_out(params) | _as_drawn(values) | values
    return Reading(values | _exact(params, values), tuple(problems), model)


def _with_hires(params: Mapping[str, Any]) -> bool:
    """AUTOMATIC1111 has no key for hires fix itself: it was on where one of its keys is told."""
    return any(key in params for key in _HIRES) or any(str(params.get(f"Hires resize-{i}", 0)) != "0" for i in (1, 2))


def _as_drawn(values: Mapping[str, Any]) -> dict[str, Any]:
    """A picture's prompts are as they were drawn: braces, wildcards and # that stand in them had no meaning."""
    texts = [values.get(name, "") for name in RESOLVED]
    texts += [unit.get(name, "") for unit in values.get("detailers", ()) for name in SPOKEN]
    off = {"prompt_expansion": "Off"} if any(map(varies, texts)) else {}
    return off | ({"prompt_comments": False} if any(map(has_comments, texts)) else {})


def _left_out(params: Mapping[str, Any]) -> dict[str, Any]:
    """What keys mean that the writer leaves out at their default, so that a checkpoint's defaults do not step in.

    Of hires fix also those that are always written: texts of other programs do not have all of them.
    """
    hires = _with_hires(params)
    fields = (field for field in FIELDS.values()
              if field.infotext and (not field.infotext_always or hires and field.needs == ("enable_hr",)))
    return {field.name: field.default for field in fields} | {"enable_hr": hires}


def _by_field(params: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for key, fields in by_key().items():
        if len(fields) == 1:
            found[fields[0].name] = params.get(key)
            continue
        unparted = (params[key],) if key in params else None        # not `NxM`, so no number for any of them
        found |= {field.name: unparted or params.get(f"{key}-{number}") for number, field in enumerate(fields, 1)}
    return found | records.read_records(params, _inner_pairs)


def _inner_pairs(text: str) -> Iterator[tuple[str, str]]:
    return ((key, unquote(value)) for key, value in pairs(text))


def _valid(said: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """The values that a request accepts, cleaned, and what is wrong with the others."""
    problems = [*_beyond(said)]
    said = _without(said, [str(problem.field) for problem in problems])
    while True:
        try:
            request = Request.parse(said)
        except InvalidRequest as error:
            wrong = {_place(problem.field): problem.message for problem in error.problems}
            wrong = {place: message for place, message in sorted(wrong.items()) if place.partition("[")[0] in said}
            problems += [Problem(message, place) for place, message in wrong.items()]
            said = _without(said, wrong) if wrong else {}
        else:
            return {name: getattr(request, name) for name in said}, problems


def _beyond(said: Mapping[str, Any]) -> Iterator[Problem]:
    """Of records that are on: those before which as many are on as a request can have."""
    for name, value in said.items():
        field = FIELDS[name]
        if field.switch and field.maximum is not None and isinstance(value, list | tuple):
            on = [number for number, one in enumerate(value) if isinstance(one, Mapping) and one.get(field.switch)]
            yield from (Problem(f"is one of more than {field.maximum:g} that are on", f"{name}[{number}]")
                        for number in on[int(field.maximum):])


def _place(field: str) -> str:
    """What is left out where a value of this field is wrong: of records that can be switched off the one alone."""
    found = _IN_RECORD.match(field)
    return found[0] if found and FIELDS[found[1]].switch else field.partition("[")[0]


def key_of(place: str) -> str:
    """The key of what a problem names: a field, or one of its records."""
    found = _IN_RECORD.fullmatch(place)
    return records.key_of(FIELDS[found[1]], int(found[2])) if found else FIELDS[place].infotext


def _without(said: Mapping[str, Any], places: Iterable[str]) -> dict[str, Any]:
    """What is said, less what is at these places."""
    kept = dict(said)
    for place in places:
        if found := _IN_RECORD.fullmatch(place):
            kept[found[1]] = [{} if number == int(found[2]) else one for number, one in enumerate(kept[found[1]])]
        else:
            kept.pop(place, None)
    return kept


def _exact(params: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields from the `Easel` key, if the rest of the text agrees with all of them: an edited prompt is believed."""
    claimed = _known(params.get(EXACT))
    if not claimed:
        return {}
    try:
        request = Request.parse({**values, **claimed})
    except InvalidRequest:
        return {}
    plain = to_values(parse(composed(request, {}))).values
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
