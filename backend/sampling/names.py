"""Names of samplers and schedules as users, old image files and API clients write them."""

from __future__ import annotations

from backend.sampling.sampler_row import SamplerRow
from backend.sampling.samplers import SAMPLERS
from backend.sampling.schedules import SCHEDULES, ScheduleRow

SAME_SAMPLER, SAME_SCHEDULER = "Use same sampler", "Use same scheduler"


def spellings(row: ScheduleRow) -> tuple[str, ...]:
    """Every exact spelling of a schedule."""
    return (row.label, row.name, *row.aliases)


def sampler_named(name: str) -> SamplerRow:
    """The sampler with this label or alias, whatever its case. Raises ValueError for any other name."""
    wanted = name.strip().lower()
    for row in SAMPLERS.values():
        if wanted in (row.label.lower(), *row.aliases):
            return row
    raise ValueError(f"sampler_name: unknown sampler {name!r}")


def schedule_named(name: str) -> ScheduleRow:
    """The schedule with this label, name or alias, whatever its case. Raises ValueError for any other name."""
    wanted = name.strip().lower()
    for row in SCHEDULES.values():
        if wanted in (spelling.lower() for spelling in spellings(row)):
            return row
    raise ValueError(f"scheduler: unknown schedule {name!r}")


def split_suffix(name: str, schedule: ScheduleRow) -> tuple[str, ScheduleRow]:
    """("DPM++ 2M", Karras) from "DPM++ 2M Karras"; without such a suffix, ``name`` and ``schedule`` as given.

    Schedules are tried in menu order and each may take its suffix off, so "Euler SGM Uniform" loses only
    "Uniform": that is how AUTOMATIC1111 reads it.
    """
    for row in SCHEDULES.values():
        for spelling in spellings(row):
            if name.endswith(f" {spelling}"):
                name, schedule = name[: -len(spelling) - 1], row
                break
    return name, schedule
