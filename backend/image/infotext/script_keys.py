"""What scripts of other programs tell in a picture's text, as far as extensions stand for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from backend.request.always_on_scripts import ALWAYS_ON, Argument, lacking


def script_values(params: Mapping[str, Any]) -> dict[str, Any]:
    """Field values by the keys of scripts that acted; {} of Easel's own texts, which tell the fields."""
    if str(params.get("Version", "")).startswith("Easel"):
        return {}
    values: dict[str, Any] = {}
    for script in ALWAYS_ON.values():
        if given := script.told(params):
            values |= script.values(given)
    return values


def script_keys() -> set[str]:
    """All keys that scripts read."""
    return {key for script in ALWAYS_ON.values() for argument in script.arguments for key in argument.keys}


def unlike(params: Mapping[str, Any]) -> Iterator[Argument]:
    """Arguments of scripts that acted, at values that cannot be had."""
    for script in ALWAYS_ON.values():
        if given := script.told(params):
            yield from (argument for _, argument in lacking(script.arguments, given))
