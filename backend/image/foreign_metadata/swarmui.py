"""SwarmUI (and StableSwarmUI): JSON in the place of AUTOMATIC1111's text."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from backend.image.foreign_metadata.settings_text import listed, model_name, sampling, settings_text, size
from backend.image.foreign_metadata.texts import COMMENT, PARAMETERS, Texts

SAMPLER = ("sampler", "comfyuisampler", "autowebuisampler")     # as they are called now, and were before 2024
SCHEDULER = ("scheduler", "comfyuischeduler")


def is_by_swarmui(texts: Texts) -> bool:
    return bool(_parameters(texts))


def from_swarmui(texts: Texts) -> str:
    """Its second passes and prompt functions have no like here, and are left out."""
    told = _parameters(texts)
    strength, layers = told.get("variationseedstrength"), told.get("clipstopatlayer")
    sampler, scheduler = (next((told[key] for key in keys if told.get(key)), None) for keys in (SAMPLER, SCHEDULER))
    names = listed(told.get("loras"))
    return settings_text("SwarmUI", told.get("prompt"), told.get("negativeprompt"), {
        "Steps": told.get("steps"), **sampling(sampler, scheduler),
        "CFG scale": told.get("cfgscale"), "Seed": told.get("seed"),
        "Size": size(told.get("width"), told.get("height")),
        "Model": model_name(told.get("model")), "Variation seed": told.get("variationseed") if strength else None,
        "Variation seed strength": strength or None, "Clip skip": abs(int(layers)) if layers else None},
        zip_longest(names, listed(told.get("loraweights"))[:len(names)]))


def _parameters(texts: Texts) -> dict[str, Any]:
    found = texts.table(PARAMETERS, COMMENT).get("sui_image_params")
    return found if isinstance(found, dict) else {}
