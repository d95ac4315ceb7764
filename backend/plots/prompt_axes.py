"""Axes that change the words of a prompt: search and replace, the order of things in it, wildcards, styles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from random import Random
from typing import Any

from backend.plots.axis import MAX_VALUES, Axis, Point, Sources, WrongAxis, shown
from backend.prompt.expansion import Expansion
from backend.prompt.variants import VariantError, is_plain, parse

PROMPTS, NEGATIVE = ("prompt", "hr_prompt"), ("negative_prompt", "hr_negative_prompt")
BOTH = (*PROMPTS, *NEGATIVE)
MAX_ORDERED = 7             # things to put in every order: 5,040 orders
NO_STYLE = "None"


def _exchanged(values: Mapping[str, Any], wanted: str, new: str, fields: Sequence[str]) -> dict[str, Any]:
    there = [name for name in fields if wanted and wanted in values[name]]
    if not there:
        raise WrongAxis(f"has nothing to replace: '{wanted[:60]}' is not in the prompt")
    return {name: values[name].replace(wanted, new) for name in there}


def _replaced(values: Mapping[str, Any], point: Point, fields: Sequence[str] = BOTH) -> dict[str, Any]:
    """The first value of the axis is looked for; each value takes its place wherever it stands."""
    return _exchanged(values, str(point.values[0]), str(point.value), fields)


def _replaced_in_negative(values: Mapping[str, Any], point: Point) -> dict[str, Any]:
    return _replaced(values, point, NEGATIVE)


def _orders(words: Sequence[Any], sources: Sources) -> list[tuple[str, ...]]:
    """Every order of the words."""
    if len(words) > MAX_ORDERED:
        raise ValueError(f"has {len(words)} things to put in order; more than {MAX_ORDERED} make too many orders")
    return list(permutations(map(str, words))) if words else []


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
            raise WrongAxis("has nothing to put in order: two of the pieces lie within one another")
        pieces += [prompt[end:at], word]
        end = at + length
    return {"prompt": "".join([*pieces, prompt[end:]])}


def _all_texts(words: Sequence[Any], sources: Sources) -> list[tuple[str, str]]:
    """(what stands in the prompt, what takes its place) for every text that a wildcard or a variant stands for."""
    found: list[tuple[str, str]] = []
    for word in map(str, words):
        token = word if not is_plain(parse(word)) else f"__{word.strip('_')}__"
        try:
            parts, expansion = parse(token), Expansion(sources.wildcards, combinatorial=True)
            if expansion.count(parts) + len(found) > MAX_VALUES:
                raise ValueError(f"stands for {expansion.count(parts):,} texts; an axis has at most {MAX_VALUES:,}")
            found += [(token, expansion.draw(each, Random(0), number))
                      for number, each in enumerate(expansion.variants(parts))]
        except (VariantError, RecursionError) as error:
            raise ValueError(str(error) or "is nested too deep") from None
    if len({token for token, _ in found}) > 1:
        raise ValueError("names several wildcards; an axis is for one")
    return found


def _filled(values: Mapping[str, Any], point: Point) -> dict[str, Any]:
    token, text = point.value
    return _exchanged(values, token, text, BOTH)


def _styles(value: Any, sources: Sources) -> tuple[str, ...]:
    """One style, or several with commas between them; none for "". Raises ValueError."""
    known = {style.casefold(): style for style in sources.styles}
    if str(value).strip().casefold() in known:      # its name may have commas
        return (known[str(value).strip().casefold()],)
    names = [name.strip() for name in str(value).split(",") if name.strip() and name.strip() != NO_STYLE]
    unknown = next((name for name in names if name.casefold() not in known), None)
    if unknown is not None:
        there = ", ".join(sources.styles[:8])
        raise ValueError(f"is no style; there is: {there}" if there else "is no style; there are none yet")
    return tuple(known[name.casefold()] for name in names)


def _with_styles(values: Mapping[str, Any], point: Point) -> dict[str, Any]:
    """Beside those that the request has, as A1111 does."""
    return {"styles": (*values["styles"], *point.value)}


PROMPT_AXES = (
    Axis("Prompt S/R", "text", _replaced, BOTH, cost="image", group="Prompt",
         help="Search and replace: the first value is looked for in the prompts, and each value takes its place."),
    Axis("Negative prompt S/R", "text", _replaced_in_negative, NEGATIVE, cost="image", group="Prompt",
         help="The same in the negative prompt alone."),
    Axis("Prompt order", "order", _reordered, ("prompt",), expand=_orders, cost="image", group="Prompt",
         help="Every order of these pieces of the prompt."),
    Axis("Wildcard", "text", _filled, BOTH, expand=_all_texts, cost="image", group="Prompt",
         show=lambda value: str(value[1]), choices=lambda sources: [f"__{name}__" for name in sources.wildcard_names],
         help="A wildcard or a variant of the prompt, such as __colour__ or {red|blue}: each text that it stands for."),
    Axis("Styles", "choice", _with_styles, ("styles",), check=_styles, cost="image", group="Prompt",
         show=lambda value: shown(value) or NO_STYLE, choices=lambda sources: [NO_STYLE, *sources.styles],
         help="Each style in turn, beside those that are chosen."),
)
