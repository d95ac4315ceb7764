"""What Extras does to a finished picture: the request for it, and the keys that tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.errors import InvalidRequest
from backend.request.choices import EXTRAS, NO_UPSCALER
from backend.request.request import FIELDS, Request

OWN = ("extras", "face_swap", "output", "files", "hidden")           # groups that say what is done now
DRAWN = ("prompt", "sampling", "size", "guidance", "seed", "seed_extra", "advanced")


def extras_request(values: Mapping[str, Any], drawn: Mapping[str, Any]) -> Request:
    """The request that works on the picture `init_image`; `drawn` are the field values of its own infotext.

    The settings that drew the picture stay with it, for the history's search and for another drawing like it.
    Raises InvalidRequest.
    """
    own = {name: value for name, value in values.items()
           if name not in FIELDS or FIELDS[name].group in OWN or name == "init_image"}
    former = {name: value for name, value in drawn.items() if FIELDS[name].group in DRAWN}
    own |= {"process": EXTRAS, "seed": max(former.get("seed", 0), 0)}
    try:
        return Request.parse({**former, **own})
    except InvalidRequest:
        return Request.parse(own)


def infotext_values(request: Request) -> dict[str, Any]:
    """What an Extras request does, by infotext key: AUTOMATIC1111's, and the table's for what it does not tell."""
    found = _enlarged(request) if request.upscaler_1 != NO_UPSCALER else {}
    names = [name for name in ("gfpgan_visibility", "codeformer_visibility") if getattr(request, name)]
    names += ["upscale_first"] if names and request.upscale_first else []
    names += ["codeformer_weight"] if "codeformer_visibility" in names else []
    swaps = [name for name, field in FIELDS.items() if field.group == "face_swap" and field.infotext]
    acting = [name for name in swaps if not request.idle(FIELDS[name])]
    names += [name for name in acting if FIELDS[name].infotext_always or getattr(request, name) != FIELDS[name].default]
    return found | _values(request, names)


def _enlarged(request: Request) -> dict[str, Any]:
    width, height, crop = request.upscale_to_width, request.upscale_to_height, FIELDS["upscale_crop"].infotext
    by_factor, to_size = _values(request, ["upscale_by"]), {FIELDS["upscale_to_width"].infotext: f"{width}x{height}"}
    found = to_size if width or height else by_factor
    if width and height:
        found |= {"Postprocess crop to": f"{width}x{height}"} if request.upscale_crop else {crop: False}
    found |= _values(request, ["upscaler_1"])
    if request.upscaler_2 != NO_UPSCALER and request.upscaler_2_visibility:
        found |= _values(request, ["upscaler_2", "upscaler_2_visibility"])
    return found


def _values(request: Request, names: list[str]) -> dict[str, Any]:
    return {FIELDS[name].infotext: getattr(request, name) for name in names}
