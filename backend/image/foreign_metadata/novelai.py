"""NovelAI: PNG chunks, of which `Comment` is JSON."""

from __future__ import annotations

from backend.image.foreign_metadata.settings_text import sampling, settings_text, size
from backend.image.foreign_metadata.texts import Texts, json_object


def is_by_novelai(texts: Texts) -> bool:
    return texts["Software"] == "NovelAI" or texts["Title"] in ("AI generated image", "NovelAI generated image")


def from_novelai(texts: Texts) -> str:
    """As AUTOMATIC1111 reads it: clip skip 2 and ENSD 31337, which NovelAI's own model had."""
    told = json_object(texts["Comment"])
    return settings_text("NovelAI", texts["Description"] or told.get("prompt"), told.get("uc"), {
        "Steps": told.get("steps"), **sampling(told.get("sampler"), told.get("noise_schedule")),
        "CFG scale": told.get("scale"), "Seed": told.get("seed"), "CFG rescale": told.get("cfg_rescale") or None,
        "Size": size(told.get("width") or texts.width, told.get("height") or texts.height),
        "Clip skip": 2, "ENSD": 31337})
