"""A plot without all of its cells: a few that stand for the others, so that a dry run of thousands costs no more.

Two values of an axis stand for each other where a question does not tell them apart: guidance of 5 or 7 takes as many
calls. A question about several axes is asked of one value of each such class, and counted for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from backend.plots.cells import CellError, ChosenAxis, Coordinates, SeedRules, cell_values
from backend.plots.estimate import COST_FIELDS, cost_key, is_of_first_pass
from backend.request.request import FIELDS, Request

NUMBERS = ("int", "float", "seed", "text", "texts")
TOGETHER = frozenset((
    "width", "height", "hr_scale", "hr_resize_x", "hr_resize_y", "prompt", "negative_prompt", "hr_prompt",
    "hr_negative_prompt", "styles", "sigma_min", "sigma_max", "batch_count", "batch_size", "loopback_loops",
    "sd_upscale_overlap"))
"""Numbers and texts that rules see together with others."""
ALONE = ("sampling", "guidance")    # groups whose choices no rule sees together with others
LETTERS = "xyz"


@dataclass(frozen=True, slots=True)
class Stand:
    """A cell that stands for `cells` of a plot; `first_passes` are those of hires fix that they draw."""

    cell: Coordinates
    cells: int
    first_passes: int


def tried(axes: Sequence[ChosenAxis]) -> list[Coordinates]:
    """Cells in which everything that can be wrong with a plot shows: every value of every axis, and every combination
    of values that rules see together; of values that are alike the first."""
    kinds = [[own[0] for own in _alike(chosen)] for chosen in axes]
    each = [tuple(index if other == number else 0 for other in range(len(axes)))
            for number, own in enumerate(kinds) for index in own]
    joint = (own if _is_seen_together(chosen) else (0,) for chosen, own in zip(axes, kinds, strict=True))
    return list(dict.fromkeys([*each, *product(*joint)]))


def stands(base: Mapping[str, Any], axes: Sequence[ChosenAxis], seeds: SeedRules) -> Iterator[Stand]:
    """Cells that stand for all of a plot where its cost is asked. `base` are the values that its cells start from."""
    classes = [list(_classes(base, axes, number)) for number in range(len(axes))]
    first = [_is_of_first_pass(chosen, number, seeds) for number, chosen in enumerate(axes)]
    for chosen in product(*classes):
        drawn = (len(own) if of_first else own[0] == 0 for own, of_first in zip(chosen, first, strict=True))
        yield Stand(tuple(own[0] for own in chosen), prod(map(len, chosen)), prod(drawn))


def idle(axes: Sequence[ChosenAxis], requests: Sequence[Request]) -> list[int]:
    """Numbers of the axes whose fields have no hold on any of the requests, such as those of hires fix without it."""
    return [number for number, chosen in enumerate(axes) if chosen.axis.fields and all(
        name in FIELDS and request.idle(FIELDS[name]) for request in requests for name in chosen.axis.fields)]


def _alike(chosen: ChosenAxis) -> list[list[int]]:
    """Indices of an axis' values by what the axis itself takes to be alike, the class of the first value first."""
    alike, found = chosen.axis.alike, dict[Hashable, list[int]]()
    for index, value in enumerate(chosen.values):
        found.setdefault(index if alike is None else alike(value), []).append(index)
    return list(found.values())


def _classes(base: Mapping[str, Any], axes: Sequence[ChosenAxis], number: int) -> Iterator[list[int]]:
    """Indices of an axis' values that cost the same, the class of the first value first."""
    if not _touches(axes[number], COST_FIELDS):
        yield list(range(len(axes[number].values)))
        return
    found: dict[Hashable, list[int]] = {}
    for own in _alike(axes[number]):
        cell = tuple(own[0] if other == number else 0 for other in range(len(axes)))
        found.setdefault(_key(base, axes, cell), []).extend(own)
    yield from found.values()


def _key(base: Mapping[str, Any], axes: Sequence[ChosenAxis], cell: Coordinates) -> Hashable:
    try:
        return cost_key(cell_values(base, axes, cell))
    except CellError:
        return cell


def _touches(chosen: ChosenAxis, fields: Collection[str]) -> bool:
    """Whether the axis may change one of these fields; one that does not tell may change any."""
    return not chosen.axis.fields or any(name in fields for name in chosen.axis.fields)


def _is_seen_together(chosen: ChosenAxis) -> bool:
    return _any_field(chosen, _rules_see)


def _rules_see(name: str) -> bool:
    field = FIELDS.get(name)
    if field is None or name in TOGETHER:
        return True
    return field.kind not in NUMBERS and not (field.kind in ("choice", "bool") and field.group in ALONE)


def _is_of_first_pass(chosen: ChosenAxis, number: int, seeds: SeedRules) -> bool:
    """Whether cells that differ along the axis cannot share the first pass of hires fix."""
    varied = number < len(LETTERS) and LETTERS[number] in seeds.vary
    return varied or seeds.keep_random or _any_field(chosen, is_of_first_pass)


def _any_field(chosen: ChosenAxis, asked: Callable[[str], bool]) -> bool:
    return not chosen.axis.fields or any(map(asked, chosen.axis.fields))
