"""Axes for LoRAs in the prompt: which of them, and how strongly. Together they are a grid of epochs by weights.

A value of "LoRA name" is a LoRA, several of them with " + " between ("eyes + hands:0.5"), or "without". It takes the
place of whichever of the axis' LoRAs the prompt names already; where it names none, it is added at the end.
"LoRA strength" sets the weight of the LoRAs that the other axis puts there, or, without that axis, of all; its value
"without" takes them out of the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backend.catalog.model_file import LORA
from backend.plots.axis import Axis, Point, Sources, WrongAxis, shown
from backend.plots.named_files import named_file
from backend.prompt.grammar import found_networks
from backend.prompt.network_terms import LORAS

NAME, STRENGTH = "LoRA name", "LoRA strength"
WITHOUT = "without"
JOINT = " + "
MOST = 100.0            # a weight's size
_WEIGHTS = ("te", "unet")


def _checked_name(value: Any, sources: Sources) -> str:
    """The exact names, with the weights that are typed; "" for none. Raises ValueError."""
    if _means_none(value):
        return ""
    return JOINT.join(_one(part, sources) for part in str(value).split(JOINT) if part.strip())


def _one(typed: str, sources: Sources) -> str:
    name, colon, weight = typed.strip().rpartition(":")
    key = named_file(LORA, name if colon else weight, (), sources)
    return f"{key}:{_checked_strength(weight, sources):g}" if colon else key


def _checked_strength(value: Any, sources: Sources) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise ValueError("must be a number") from None
    if not -MOST <= found <= MOST:
        raise ValueError(f"must be between {-MOST:g} and {MOST:g}")
    return found


def _checked_weight(value: Any, sources: Sources) -> float | str:
    """A weight, or "" for no LoRA at all. Raises ValueError."""
    return "" if _means_none(value) else _checked_strength(value, sources)


def _means_none(value: Any) -> bool:
    return str(value).strip().casefold() in (WITHOUT, "none", "")


def _parts(value: Any) -> list[tuple[str, str]]:
    """(name, weight) of each LoRA of a value; the weight is "" where it is left to others."""
    return [(name, weight) for name, _, weight in (part.partition(":") for part in str(value).split(JOINT)) if name]


def _with_names(values: Mapping[str, Any], point: Point) -> dict[str, Any]:
    own = {name for value in point.values for name, _ in _parts(value)}
    there = [match for match in _loras(values["prompt"]) if _name(match[2]) in own]
    arguments = there[0][2].split(":")[1:] if there else []
    terms = "".join(f"<lora:{':'.join([name, *_arguments(weight, arguments)])}>"
                    for name, weight in _parts(point.value))
    if not there:
        return {"prompt": f"{values['prompt']} {terms}".strip() if terms else values["prompt"]}
    changes = [(match.span(), terms if match is there[0] else "") for match in there]
    return {"prompt": _exchanged(values["prompt"], changes)}


def _arguments(weight: str, arguments: Sequence[str]) -> list[str]:
    """Of a term: those of the one in whose place it comes, unless it has a weight of its own."""
    return [weight, *(one for one in arguments if "=" in one)] if weight else list(arguments) or ["1"]


def _with_strength(values: Mapping[str, Any], point: Point) -> dict[str, Any]:
    names = point.beside.get(NAME)
    own = {name for name, weight in _parts(names.value) if not weight} if names else None
    meant = [match for match in _loras(values["prompt"]) if own is None or _name(match[2]) in own]
    if own is None and not meant:
        raise WrongAxis("has no LoRA in the prompt whose strength it could set")
    changes = [(match.span(), "" if point.value == "" else _with_weight(match, point.value)) for match in meant]
    text = _exchanged(values["prompt"], changes)
    return {"prompt": text.strip() if point.value == "" else text}


def _with_weight(term: re.Match[str], weight: float) -> str:
    return f"<{term[1]}:{':'.join(_weighed(term[2].split(':'), weight))}>"


def _weighed(arguments: Sequence[str], weight: float) -> Iterator[str]:
    """Both weights of a term are this one; when and where it acts stays."""
    yield arguments[0]
    yield f"{weight:g}"
    for one in arguments[1:]:
        name, equals, _ = one.partition("=")
        if equals and name.strip().lower() not in _WEIGHTS:
            yield one


def _exchanged(text: str, changes: Sequence[tuple[tuple[int, int], str]]) -> str:
    pieces, seen = [], 0
    for (start, end), new in changes:
        pieces += [text[seen:start], new]
        seen = end
    return "".join([*pieces, text[seen:]])


def _loras(text: str) -> list[re.Match[str]]:
    return [match for match in found_networks(text) if match[1].strip().lower() in LORAS]


def _name(arguments: str) -> str:
    return arguments.split(":")[0].strip()


def _choices(sources: Sources) -> list[str]:
    return [WITHOUT, *(file.key for file in sources.catalog.usable(LORA))]


LORA_AXES = (
    Axis(NAME, "file", _with_names, ("prompt",), check=_checked_name, choices=_choices, cost="step", group="LoRA",
         rank=1, show=lambda value: str(value) or WITHOUT, aliases=("LoRA", "Lora"),
         help="Each LoRA in turn, several at once with + between them, or without any."),
    Axis(STRENGTH, "float", _with_strength, ("prompt",), check=_checked_weight, cost="step", group="LoRA", rank=2,
         show=lambda value: shown(value) or WITHOUT, aliases=("LoRA weight", "Lora weight"),
         help="The weight of the LoRAs of the axis LoRA name; without that axis, of all in the prompt. "
              "The value without takes them out."),
)
