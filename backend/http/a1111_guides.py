"""Units of sd-webui-controlnet in AUTOMATIC1111's JSON, as the guides of a request.

    "alwayson_scripts": {"controlnet": {"args": [{"image": "<base64>", "module": "canny", "model": "..."}]}}

A picture may be text, or an object or a list of a picture and a mask; modes may be words or numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from backend import Door
from backend.errors import InvalidRequest, Problem, UserError
from backend.http.a1111_scripts import is_off
from backend.http.a1111_values import as_ours, is_missing, is_same, truth
from backend.image import upload_validation
from backend.request.guide_unit import GUIDE_UNIT

SCRIPT = "controlnet"
PICTURES = ("image", "input_image")
OTHER_NAMES = {"guidance_start": "start", "guidance_end": "end", "hr_option": "hires",
               "union_control_type": "union_type"}
NOT_THERE = ("effective_region_mask", "ipadapter_input", "advanced_weighting")
USUAL = ("processor_res", "threshold_a", "threshold_b")        # where a number below 0 asks for the usual value


def guides(scripts: Any, door: Door) -> tuple[dict[str, Any], list[Problem]]:
    """The units that are sent, their pictures stored as uploads of the user; and what is wrong with them."""
    named = scripts.items() if isinstance(scripts, Mapping) else ()
    name, script = next(((name, script) for name, script in named if is_same(name, SCRIPT)), ("", None))
    if is_off(script):
        return {}, []
    sent = script.get("args") if isinstance(script, Mapping) else script
    sent = list(sent.values()) if isinstance(sent, Mapping) else sent
    units, problems = [], []
    for number, unit in enumerate(each for each in sent if not isinstance(each, bool)):
        try:
            units.append(_unit(unit, f"alwayson_scripts.{name}.args.{number}", door))
        except InvalidRequest as error:
            problems += error.problems
    return {"guides": units}, problems


def _unit(sent: Any, place: str, door: Door) -> dict[str, Any]:
    """Raises InvalidRequest."""
    if not sent:
        return {}
    if not isinstance(sent, Mapping):
        raise InvalidRequest("must be an object", field=place)
    problems = [Problem("is not something that Easel has; leave it out", f"{place}.{key}")
                for key in NOT_THERE if sent.get(key)]
    if problems:
        raise InvalidRequest(problems=problems)
    unit = dict(_values(sent)) | {"enabled": truth(sent.get("enabled", True)) is not False}
    picture = next((sent[key] for key in PICTURES if sent.get(key)), None)
    return unit | ({"image": _stored(picture, place, door)} if picture and unit["enabled"] else {})


def _values(sent: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in sent.items():
        name = OTHER_NAMES.get(key, key)
        field = GUIDE_UNIT.get(name)
        if field is None or name in ("enabled", *PICTURES) or is_missing(field, value):
            continue
        if name in USUAL and isinstance(value, int | float) and value < 0:
            continue
        numbered = field.kind == "choice" and isinstance(value, int) and not isinstance(value, bool)
        yield name, str(value) if numbered else as_ours(key, field, value)


def _stored(picture: Any, place: str, door: Door) -> str:
    """The upload's id. Of a picture and a mask the picture counts."""
    if isinstance(picture, Mapping):
        picture = picture.get("image")
    if isinstance(picture, list):
        picture = picture[0]
    if isinstance(picture, Mapping):
        picture = picture.get("image")
    try:
        return door.upload(upload_validation.from_base64(picture)).id
    except UserError as error:
        raise InvalidRequest(str(error), field=f"{place}.image") from error
