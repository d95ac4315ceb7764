"""Samplers and schedules of a settings text, under AUTOMATIC1111's names of all its versions and ComfyUI's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from backend.image.foreign_metadata.sampler_names import translated
from backend.image.infotext.composing import own_schedule
from backend.image.infotext.eta import eta_of
from backend.sampling.names import SAME_SAMPLER, SAME_SCHEDULER, sampler_named, schedule_named, split_suffix
from backend.sampling.schedules import SCHEDULES

AUTOMATIC = "Automatic"


class Told(NamedTuple):
    """A sampler, and the schedule that old texts and other programs write behind it, "" for none."""

    sampler: str
    schedule: str = ""
    foreign: bool = False       # under another program's name: what Automatic means here is not meant


def sampling(params: Mapping[str, Any]) -> dict[str, Any]:
    """Field values of sampler, schedule and eta, and of those of hires fix, as far as the text tells them."""
    if params.get("Sampler") is None:
        return {}
    told = named(str(params["Sampler"]))
    schedule = told.schedule or str(params.get("Schedule type", AUTOMATIC))
    found = {"sampler": told.sampler, "schedule": _shown(told, schedule)}
    return found | _of_hires(params, old=bool(told.schedule)) | {"eta": eta_of(params, told.sampler)}


def named(text: str) -> Told:
    """What a sampler's name tells, in whatever program's words; an unknown one as it is."""
    name, schedule = split_suffix(text, SCHEDULES[AUTOMATIC])
    behind = "" if name == text else schedule.label
    try:
        return Told(sampler_named(name).label, behind)
    except ValueError:
        found = translated(text)
        return Told(*found, foreign=True) if found else Told(name, behind)


def _of_hires(params: Mapping[str, Any], old: bool) -> dict[str, str]:
    """`old`: the text is from when samplers had their schedules in their names, so one without has its own."""
    text = params.get("Hires sampler", SAME_SAMPLER)
    if text == SAME_SAMPLER:
        return {}
    told = named(str(text))
    schedule = str(params.get("Hires schedule type", SAME_SCHEDULER))
    if schedule not in (SAME_SCHEDULER, AUTOMATIC) or not (told.schedule or old):
        return {"hr_sampler": told.sampler}
    return {"hr_sampler": told.sampler, "hr_schedule": _shown(told, told.schedule or AUTOMATIC)}


def _shown(told: Told, schedule: str) -> str:
    """The schedule as the form has it: AUTOMATIC1111 writes a sampler's own, where Automatic was chosen.

    Of an unknown name, which is reported with other wrong values, it is not the own.
    """
    try:
        own = own_schedule(sampler_named(told.sampler).label) == schedule_named(schedule).label
    except ValueError:
        return schedule
    return AUTOMATIC if own and not told.foreign else schedule
