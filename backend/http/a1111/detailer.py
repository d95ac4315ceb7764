"""ADetailer's arguments in AUTOMATIC1111's JSON, as the detailers of a request.

    "alwayson_scripts": {"ADetailer": {"args": [true, false, {"ad_model": "face_yolov8n.pt", "ad_prompt": ""}, ...]}}

The second says whether img2img is left out, so that only the given picture's details are drawn again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from backend.errors import Problem
from backend.http.a1111.scripts import NAMES_OFF, is_on, script_arguments
from backend.http.a1111.unsupported import Lacking
from backend.http.a1111.values import as_ours, is_missing
from backend.request.detailer import DETAILER_UNIT, MOST_DETAILERS
from backend.request.legacy_sampler_names import split_sampler
from backend.request.loose_values import is_same, truth
from backend.sampling.names import SAME_SCHEDULER

SCRIPT = "adetailer"
USUAL: Mapping[str, Any] = {"ad_restore_face": False, "ad_controlnet_model": "None"}
"""What Easel has at this value alone."""
OWN: Mapping[str, Mapping[str, Any]] = {
    "ad_use_inpaint_width_height": {"ad_inpaint_width": 512, "ad_inpaint_height": 512},
    "ad_use_steps": {"ad_steps": 28}, "ad_use_cfg_scale": {"ad_cfg_scale": 7.0},
    "ad_use_sampler": {"ad_sampler": "DPM++ 2M Karras", "ad_scheduler": SAME_SCHEDULER},
    "ad_use_noise_multiplier": {"ad_noise_multiplier": 1.0}, "ad_use_clip_skip": {"ad_clip_skip": 1},
}
"""A switch, and what it makes a unit's own, where nothing else is sent."""
ONLY_MASKED = "ad_inpaint_only_masked"
SWITCHED = "ad_tab_enable"
RENAMED = {"ad_tap_enable": SWITCHED, "ad_mask_k_largest": "ad_mask_k"}      # by earlier versions
SWITCH = re.compile("ad_use_.+")            # of settings that are the picture's own here
UNREAD = re.compile("is_api|ad_(checkpoint|vae"
                    "|controlnet_(module|weight|guidance_(start|end)))")
"""What is below one of those switches, or below a ControlNet."""


def detailers(scripts: Any, *, img2img: bool) -> tuple[dict[str, Any], list[Problem]]:
    """Field values of what is sent, and what is wrong with it."""
    place, sent = script_arguments(scripts, SCRIPT)
    if sent is None:
        return {}, []
    if isinstance(sent, Mapping):
        sent = [sent] if any(key.startswith("ad_") for key in sent) else list(sent.values())
    told = ((number, _renamed(unit)) for number, unit in enumerate(sent) if isinstance(unit, Mapping))
    units = [(number, unit) for number, unit in told if _is_on(unit)]
    if len(units) > MOST_DETAILERS:
        return {}, [Problem(f"has {len(units)} units; there are at most {MOST_DETAILERS}", place)]
    problems: list[Problem] = [Lacking(why, f"{place}.{number}.{key}")
                               for number, unit in units for key, why in _foreign(unit)]
    problems += [Problem("must be true or false", f"{place}.{number}.{SWITCHED}") for number, unit in units
                 if unit.get(SWITCHED) is not None and truth(unit[SWITCHED]) is None]
    problems += [Problem("must be an object, or true or false", f"{place}.{number}") for number, each in enumerate(sent)
                 if not isinstance(each, Mapping) and truth(each) is None]
    alone = img2img and bool(units) and len(sent) > 1 and truth(sent[1]) is True
    values = {"detailers": [_values(unit) for _, unit in units]}
    return values | ({"denoising_strength": 0} if alone else {}), problems


def _renamed(unit: Mapping[str, Any]) -> dict[str, Any]:
    return {RENAMED.get(key, key): value for key, value in unit.items()}


def _is_on(unit: Mapping[str, Any]) -> bool:
    named = str(unit.get("ad_model") or "").strip().casefold() not in NAMES_OFF
    return named and is_on(unit, SWITCHED)


def _foreign(unit: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Settings that ask for what is not here."""
    own = {field.api_name for field in DETAILER_UNIT.values()}
    for key, value in unit.items():
        if key in own or key in OWN or key == ONLY_MASKED or UNREAD.fullmatch(key) or value is None:
            continue
        if key in USUAL:
            if not is_same(value, USUAL[key]):
                yield key, f"can only be {USUAL[key]} here"
        elif not SWITCH.fullmatch(key) and value not in ("", False):
            yield key, "is not something that Easel has; leave it out"
        elif SWITCH.fullmatch(key) and truth(value) is not False:
            yield key, "is not something that Easel has: it is the picture's own"


def _values(unit: Mapping[str, Any]) -> dict[str, Any]:
    for switch, usual in OWN.items():
        on = truth(unit.get(switch, False)) is True
        unit = {key: value for key, value in unit.items() if key not in usual} | (
            {key: value if unit.get(key) is None else unit[key] for key, value in usual.items()} if on else {})
    unit |= split_sampler(unit, "ad_sampler", "ad_scheduler", SAME_SCHEDULER)
    given = {name: as_ours(field.api_name, field, unit[field.api_name]) for name, field in DETAILER_UNIT.items()
             if field.api_name in unit and not is_missing(field, unit[field.api_name])}
    return given | {"enabled": True, "whole": truth(unit.get(ONLY_MASKED, True)) is False}
