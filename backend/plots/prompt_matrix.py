"""AUTOMATIC1111's prompt matrix: "a town|in snow|at night" is drawn with each choice of what follows its first part.

The parts that may be there are two axes: the first half of them makes the columns, the others the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.errors import InvalidRequest
from backend.plots.axis import Axis, Point
from backend.plots.cells import MAX_CELLS, ChosenAxis, SeedRules
from backend.plots.plain_words import is_plain

COLUMNS, ROWS = "Prompt matrix columns", "Prompt matrix rows"
FIELDS_OF = {"positive": "prompt", "negative": "negative_prompt"}
JOINTS = {"comma": ", ", "space": " "}
_OPEN, _CLOSE = "[{", "]}"


@dataclass(frozen=True, slots=True)
class MatrixRules:
    """A1111's choices: where the parts stand, whose prompt it is, what joins them, a seed for each cell or one."""

    at_start: bool = False
    own_seeds: bool = False
    prompt: str = "positive"
    delimiter: str = "comma"

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> MatrixRules:
        """InvalidRequest names the option that is wrong."""
        prompt, delimiter = options.get("prompt_type", "positive"), options.get("variations_delimiter", "comma")
        for name, value, known in (("prompt_type", prompt, FIELDS_OF), ("variations_delimiter", delimiter, JOINTS)):
            if not isinstance(value, str) or value not in known:
                raise InvalidRequest(f"must be one of {', '.join(known)}", field=f"options.{name}")
        at_start, own_seeds = options.get("put_at_start", False), options.get("different_seeds", False)
        return cls(at_start in (True, "True"), own_seeds in (True, "True"), prompt, delimiter)


def matrix_axes(values: Mapping[str, Any], rules: MatrixRules) -> tuple[tuple[ChosenAxis, ...], SeedRules]:
    """Columns and rows for a request's values, and how its cells get their seeds. InvalidRequest names the prompt."""
    name = FIELDS_OF[rules.prompt]
    first, *parts = (part.strip().strip(",").strip() for part in _split(values[name]))
    if not parts:
        raise InvalidRequest("has no | behind which a part could stand that is there or not", field=name)
    if 2 ** len(parts) > MAX_CELLS:
        count = f"{2 ** len(parts):,}" if len(parts) < 64 else f"2^{len(parts):,}"     # Python spells out no huge ones
        raise InvalidRequest(f"makes {count} cells; a plot has at most {MAX_CELLS:,}", field=name)

    def changed(_: Mapping[str, Any], point: Point) -> dict[str, Any]:
        chosen = [part for label in (COLUMNS, ROWS) for part in point.beside[label].value]
        return {name: JOINTS[rules.delimiter].join([*chosen, first] if rules.at_start else [first, *chosen])}

    half = -(-len(parts) // 2)
    axes = tuple(ChosenAxis(Axis(label, "text", changed, (name,), show=_shown, alike=_meant), "|".join(own),
                            tuple(_subsets(own)))
                 for label, own in ((COLUMNS, parts[:half]), (ROWS, parts[half:])))
    return axes, SeedRules(vary=frozenset("xy") if rules.own_seeds else frozenset())


def _split(text: str) -> list[str]:
    """At each | that stands in no brackets: there it alternates or varies."""
    parts, depth = [""], 0
    for letter in text:
        depth = max(depth + (letter in _OPEN) - (letter in _CLOSE), 0)
        if letter == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _subsets(parts: Sequence[str]) -> list[tuple[str, ...]]:
    """All choices, counted in bits: the first part changes quickest."""
    return [tuple(part for number, part in enumerate(parts) if chosen >> number & 1)
            for chosen in range(2 ** len(parts))]


def _meant(value: Sequence[str]) -> tuple[str, ...]:
    """What of it is more than words."""
    return tuple(part for part in value if not is_plain(part))


def _shown(value: Sequence[str]) -> str:
    return " + ".join(value)
