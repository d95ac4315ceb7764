"""Draw Things: JSON in the UserComment of XMP."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

from backend.image.foreign_metadata.settings_text import model_name, sampling, settings_text
from backend.image.foreign_metadata.texts import XMP, Texts, json_object

_COMMENT = re.compile(r"<exif:UserComment>(.{0,200000}?)</exif:UserComment>", re.DOTALL)
_TAG = re.compile(r"<[^<>]{0,200}>")
_SCHEDULES = {"Trailing": "sgm_uniform", "AYS": "ays"}       # behind the sampler: trailing timesteps are SGM's


def is_by_draw_things(texts: Texts) -> bool:
    return "c" in _told(texts) and "uc" in _told(texts)


def from_draw_things(texts: Texts) -> str:
    told = _told(texts)
    return settings_text("Draw Things", told.get("c"), told.get("uc"), {
        "Steps": told.get("steps"), **_sampling(told.get("sampler")), "CFG scale": told.get("scale"),
        "Seed": told.get("seed"), "Size": told.get("size"), "Model": model_name(told.get("model")),
        "Denoising strength": told.get("strength") if told.get("strength") != 1 else None}, _networks(told.get("lora")))


def _sampling(name: Any) -> dict[str, str]:
    """Its "Substep" is nobody else's, and stays a part of the sampler's name, which is then told to be unknown."""
    head, _, last = name.rpartition(" ") if isinstance(name, str) else ("", "", "")
    return sampling(head, _SCHEDULES[last]) if last in _SCHEDULES else sampling(name)


def _networks(loras: Any) -> Iterator[tuple[Any, Any]]:
    """Its files are made anew by itself, so that their names tell more than their hashes could."""
    return ((one.get("model"), one.get("weight")) for one in loras or () if isinstance(one, dict))


def _told(texts: Texts) -> dict[str, Any]:
    match = _COMMENT.search(texts[XMP])
    return json_object(html.unescape(_TAG.sub("", match[1])).strip()) if match else {}
