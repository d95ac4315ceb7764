"""Values as AUTOMATIC1111 wrote them in former versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.sampling.names import SAME_SCHEDULER, split_suffix
from backend.sampling.samplers import SAMPLERS
from backend.sampling.schedules import SCHEDULES

AUTOMATIC = "Automatic"


def split_samplers(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Before 1.9 the schedule stood in the sampler's name: "DPM++ 2M Karras". Also in that of hires fix."""
    first = split_sampler(values, "sampler", "schedule", AUTOMATIC)
    second = split_sampler(values, "hr_sampler", "hr_schedule", SAME_SCHEDULER)
    return {**values, **first, **second} if first or second else values


def split_sampler(values: Mapping[str, Any], sampler: str, schedule: str, left_open: str) -> dict[str, Any]:
    """Both fields where the sampler's name holds a schedule; one that is named beside it counts."""
    told = values.get(sampler)
    if not isinstance(told, str) or told in SAMPLERS:
        return {}
    name, behind = split_suffix(told, SCHEDULES[AUTOMATIC])
    beside = values.get(schedule, left_open)
    if name == told:
        return {}
    return {sampler: name, schedule: behind.label if beside in (left_open, AUTOMATIC) else beside}
