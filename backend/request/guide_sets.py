"""Sets of guides: units as they stood in a form, kept under names of a person's own to be chosen again.

    {"guides.my pose": [{"enabled": True, "module": "canny", "image": "<id>"}]}      without values at their defaults
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from backend.errors import Problem
from backend.request.field import MAX_PROMPT, MOST_SENT, clean
from backend.request.guide_unit import GUIDE_UNIT
from backend.request.record import place, plain

PREFIX = "guides."
MOST_SETS = 50
LONGEST_NAME = 60       # characters


def is_set(name: str) -> bool:
    """Whether a preference of this name is a set of guides."""
    return name.startswith(PREFIX)


def cleaned(name: str, units: Any, problems: list[Problem]) -> list[dict[str, Any]]:
    """Untrusted units as JSON has them, those that are off among them; a problem is added for each wrong value."""
    try:
        _check_name(name)
        _check_units(units)
    except ValueError as error:
        problems.append(Problem(str(error), name))
        return []
    found = [dict(_unit(name, number, unit, problems)) for number, unit in enumerate(units)]
    if len(json.dumps(found)) > MAX_PROMPT:
        problems.append(Problem("is too long", name))
    return found


def check_count(values: Mapping[str, Any]) -> list[Problem]:
    """A problem where there are more sets among `values` than are kept of one person."""
    sets = [name for name in values if is_set(name)]
    if len(sets) <= MOST_SETS:
        return []
    return [Problem(f"There are {MOST_SETS} sets of guides already: delete one first.", sets[-1])]


def _check_name(name: str) -> None:
    told = name.removeprefix(PREFIX)
    if not told or told != told.strip() or not told.isprintable() or len(told) > LONGEST_NAME:
        raise ValueError(f"The name of a set of guides has 1 to {LONGEST_NAME} characters.")


def _check_units(units: Any) -> None:
    if not isinstance(units, list) or not units or not all(isinstance(unit, Mapping) for unit in units):
        raise ValueError("A set of guides holds at least one guide.")
    if len(units) > MOST_SENT:
        raise ValueError(f"has {len(units)} entries; there are at most {MOST_SENT}")


def _unit(name: str, number: int, unit: Mapping[str, Any], problems: list[Problem]) -> Iterator[tuple[str, Any]]:
    for key, value in unit.items():
        try:
            if key not in GUIDE_UNIT:
                raise ValueError("is not a setting that Easel knows")
            kept = clean(GUIDE_UNIT[key], value)
        except ValueError as error:
            problems.append(Problem(str(error), place(name, number, str(key)[:60])))
        else:
            if kept != GUIDE_UNIT[key].default:
                yield key, plain(kept)
