"""Fooocus: JSON in the place of AUTOMATIC1111's text, and a chunk that says so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from backend.image.foreign_metadata.settings_text import model_name, sampling, settings_text, size
from backend.image.foreign_metadata.texts import COMMENT, PARAMETERS, Texts

_NUMBER = re.compile(r"\d+")


def is_by_fooocus(texts: Texts) -> bool:
    told = texts.table(PARAMETERS, COMMENT)
    marked = texts["fooocus_scheme"] == "fooocus" or str(told.get("version", "")).startswith("Fooocus")
    return bool(told) and (marked or {"base_model", "performance", "guidance_scale"} <= told.keys())


def from_fooocus(texts: Texts) -> str:
    """With the prompts that were drawn, in which its styles are filled in, where it tells them."""
    told = texts.table(PARAMETERS, COMMENT)
    width, height, *_ = [*_NUMBER.findall(str(told.get("resolution", ""))), None, None]
    return settings_text("Fooocus", _drawn(told, "prompt"), _drawn(told, "negative_prompt"), {
        "Steps": told.get("steps"), **sampling(told.get("sampler"), told.get("scheduler")),
        "CFG scale": told.get("guidance_scale"), "Seed": told.get("seed"), "Size": size(width, height),
        "Model hash": told.get("base_model_hash"), "Model": model_name(told.get("base_model")),
        "Clip skip": told.get("clip_skip")}, _networks(told))


def _networks(told: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """`loras` as name, strength and hash, in former versions `lora_combined_1` as "name : strength"."""
    if isinstance(told.get("loras"), list):
        yield from ((one[0], one[1]) for one in told["loras"] if isinstance(one, list) and len(one) > 1)
        return
    for key, value in told.items():
        if key.startswith("lora_combined_") and isinstance(value, str):
            name, _, strength = value.rpartition(" : ")
            yield name.rpartition(" : ")[2], strength


def _drawn(told: dict[str, Any], name: str) -> Any:
    pieces = told.get(f"full_{name}")
    if isinstance(pieces, list) and pieces and all(isinstance(piece, str) for piece in pieces):
        return ", ".join(pieces)
    return told.get(name)
