"""Axes that change the words of a prompt: search and replace, and the order of things in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.plots.axis import Axis, Point, WrongAxis

PROMPTS, NEGATIVE = ("prompt", "hr_prompt"), ("negative_prompt", "hr_negative_prompt")
BOTH = (*PROMPTS, *NEGATIVE)


def _replaced(values: Mapping[str, Any], point: Point, fields: tuple[str, ...]) -> dict[str, Any]:
    """The first value of the axis is looked for; each value takes its place wherever it stands."""
    wanted = str(point.values[0])
    there = [name for name in fields if wanted and wanted in values[name]]
    if not there:
        raise WrongAxis(f"has nothing to replace: '{wanted[:60]}' is not in the prompt")
    return {name: values[name].replace(wanted, str(point.value)) for name in there}


def _reordered(values: Mapping[str, Any], point: Point) -> dict[str, Any]:
    """What the value names stands in its order in the places where these words stand in the prompt."""
    prompt, places = values["prompt"], []
    for word in point.value:
        at = prompt.find(word)
        if not word or at < 0:
            raise WrongAxis(f"has nothing to put in order: '{word[:60]}' is not in the prompt")
        places.append((at, len(word)))
    pieces, end = [], 0
    for (at, length), word in zip(sorted(places), point.value, strict=True):
        if at < end:
            raise WrongAxis("cannot be put in order: two of the pieces lie within one another")
        pieces += [prompt[end:at], word]
        end = at + length
    return {"prompt": "".join([*pieces, prompt[end:]])}


PROMPT_AXES = (
    Axis("Prompt S/R", "text", lambda values, point: _replaced(values, point, BOTH), BOTH, cost="image",
         help="Search and replace: the first value is looked for in the prompts, and each value takes its place."),
    Axis("Negative prompt S/R", "text", lambda values, point: _replaced(values, point, NEGATIVE), NEGATIVE,
         cost="image", help="The same in the negative prompt alone."),
    Axis("Prompt order", "order", _reordered, ("prompt",), cost="image",
         help="Every order of these pieces of the prompt."),
)
