"""AUTOMATIC1111's names in a txt2img or img2img payload, and what becomes of those that are no field of Easel's.

A name of AUTOMATIC1111's own model that Easel cannot honour is refused where it would change the picture. A name that
AUTOMATIC1111 never had means nothing there either: it is passed over, and `info` lists it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.errors import Problem
from backend.http.a1111.unsupported import NOT_HERE, Lacking
from backend.request.field import Field
from backend.request.loose_values import is_same, truth
from backend.request.request import FIELDS

_OF_PICTURES = ("img2img", "img2img_extra", "inpaint", "outpaint", "loopback", "sd_upscale")


def _img2img_name(field: Field) -> str:
    """AUTOMATIC1111's name of a field in img2img's JSON, "" for one that is not there."""
    told = field.kind != "picture" and field.group not in ("extras", "hires") and not field.internal
    return field.api_name if told else ""


def _txt2img_name(field: Field) -> str:
    told = field.kind != "picture" and field.group != "extras" and not field.internal
    return field.api_name if told and (field.group not in _OF_PICTURES or "enable_hr" in field.needs) else ""


IMG2IMG: Mapping[str, Field] = FIELDS.by(_img2img_name)
TXT2IMG: Mapping[str, Field] = FIELDS.by(_txt2img_name)

# Options, as fields, that its models have under the same name.
NAMED_AS_OPTIONS = ("initial_noise_multiplier",)

# Names that stand for something of their own, with the default of AUTOMATIC1111's model.
READ: dict[str, Any] = {
    "sampler_index": "Euler", "infotext": None, "override_settings": None, "send_images": True, "restore_faces": None,
    "disable_extra_networks": False, "script_name": None, "script_args": [], "alwayson_scripts": {},
    "force_task_id": None,
}
READ_TXT2IMG: dict[str, Any] = READ | {"firstphase_width": 0, "firstphase_height": 0}
READ_IMG2IMG: dict[str, Any] = READ | {
    "init_images": None, "mask": None, "mask_blur_x": 4, "mask_blur_y": 4, "latent_mask": None,
    "include_init_images": False, "mask_round": True,
}

# What a client may send with any value: it says where pictures go or what the server keeps, not what is drawn.
WITHOUT_EFFECT: dict[str, Any] = {
    "save_images": False, "do_not_save_samples": False, "do_not_save_grid": False, "comments": None,
    "override_settings_restore_afterwards": True,
}
# What Easel does not have: the values that mean nothing beside null, false, 0 and empty ones, and the switch, if any.
NOT_HERE_YET: dict[str, tuple[tuple[Any, ...], str]] = {
    "firstpass_image": ((), "enable_hr"),
}


def judged(payload: Mapping[str, Any], table: Mapping[str, Field], read: Mapping[str, Any]) -> tuple[
        list[Problem], list[str]]:
    """A problem for each name that acts and is not here, and the names that AUTOMATIC1111 never had."""
    others = [name for name in payload if name not in table and name not in read and name not in WITHOUT_EFFECT]
    problems: list[Problem] = [Lacking(NOT_HERE, name) for name in others
                               if name in NOT_HERE_YET and _acts(name, payload)]
    return problems, [name for name in others if name not in NOT_HERE_YET]


def _acts(name: str, payload: Mapping[str, Any]) -> bool:
    idle, switch = NOT_HERE_YET[name]
    value = payload.get(name)
    if not value or truth(value) is False or any(is_same(value, each) for each in idle):
        return False
    if switch in NOT_HERE_YET:
        return _acts(switch, payload)
    return not switch or truth(payload.get(switch)) is True
