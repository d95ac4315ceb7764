"""All axes by label: those with code of their own, then those that follow from the field table."""

from __future__ import annotations

from collections.abc import Mapping

from backend.plots.axis import Axis
from backend.plots.field_axes import field_axes, record_axis
from backend.plots.lora_axes import LORA_AXES
from backend.plots.prompt_axes import PROMPT_AXES
from backend.plots.size_axis import SIZE_AXIS
from backend.request.request import FIELDS
from backend.table import Table

NOTHING = Axis("Nothing", "text", lambda values, point: {}, expand=lambda words, sources: [""], help="No axis.")

AXES: Table[Axis] = Table("axes", (NOTHING, *PROMPT_AXES, *LORA_AXES, SIZE_AXIS), key="label")
"""Axes with code of their own, to which extensions add theirs; their label hides that of a field."""

_OF_FIELDS = FIELDS.derived(lambda fields: {axis.label: axis for axis in field_axes(fields)})


def all_axes() -> Mapping[str, Axis]:
    """Those of records as of the first of them: `axis_named` finds that of each."""
    return {**AXES, **{label: axis for label, axis in _OF_FIELDS().items() if label not in AXES}}


def axis_named(label: str) -> Axis:
    """By label or alias, in any case. Raises KeyError."""
    axes = all_axes()
    if label in axes:
        return axes[label]
    names = {name.casefold(): axis for axis in axes.values() for name in (*axis.aliases, axis.label)}
    found = names.get(label.strip().casefold()) or record_axis(FIELDS, label)
    if found is None:
        raise KeyError(label)
    return found
