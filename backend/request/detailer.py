"""The fields of one pass of the detailer: what is found in a finished picture, and how it is drawn again.

Names and values in a picture's text and in JSON are those of ADetailer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backend.errors import Problem
from backend.request.field import Field
from backend.request.record import Record, place
from backend.sampling.names import SAME_SAMPLER, SAME_SCHEDULER, sampler_named, schedule_named
from backend.sampling.samplers import SAMPLERS
from backend.sampling.schedules import SCHEDULES
from backend.table import Names, Table

FACES = "Faces"         # found by the detector that restorers use
MOST_DETAILERS = 2      # passes of a request
WITHIN = "[PROMPT]"     # in a unit's prompt: here stands the picture's own
NEXT = "[SEP]"          # between the prompts of the first object, the second, ...
LEAVE = "[SKIP]"        # the prompt of an object that stays as it is
EACH, MERGED, INVERTED = MERGES = ("None", "Merge", "Merge and Invert")
AREA, CONFIDENCE = MOST_BY = ("Area", "Confidence")
SIZES = ("width", "height")
LEAST_SIDE = 64         # pixels of an own size

DETAILER_UNIT: Table[Field] = Table("fields of a detailer", (
    Field("enabled", "Enable", "bool", False, "detailer", api="ad_tab_enable", xyz="enable"),
    Field("model", "What is drawn again", "object_detector", FACES, "detailer", choices=(FACES,), api="ad_model",
          infotext="model", infotext_always=True, xyz="model",
          help="Faces, or what a detector finds whose file (.pt or .onnx) lies in models/adetailer."),
    Field("classes", "Only these classes", "text", "", "detailer", api="ad_model_classes", infotext="model classes",
          xyz="classes", help="Of a detector of several kinds, such as cat, dog; empty takes all."),
    Field("prompt", "Prompt", "text", "", "detailer", api="ad_prompt", infotext="prompt", xyz="prompt",
          help="Empty: the picture's, which [PROMPT] puts in. [SEP] parts the prompts of several objects, [SKIP] "
               "leaves one as it is."),
    Field("negative_prompt", "Negative prompt", "text", "", "detailer", api="ad_negative_prompt",
          infotext="negative prompt", xyz="negative prompt", help="Empty: the picture's."),
    Field("confidence", "Confidence", "float", 0.3, "detailer", minimum=0, maximum=1, step=0.01, api="ad_confidence",
          infotext="confidence", infotext_always=True, xyz="confidence",
          help="How sure the detector must be of what it finds."),
    Field("most", "At most", "int", 0, "detailer", minimum=0, maximum=100, step=1, api="ad_mask_k",
          infotext="mask only top k", xyz="at most", help="Only so many; 0 takes all."),
    Field("most_by", "Of these", "choice", AREA, "detailer", choices=MOST_BY, api="ad_mask_filter_method",
          infotext="method to decide top k masks", xyz="mask filter method",
          help="Where only so many are drawn again: the largest, or those of which the detector is most sure."),
    Field("least_share", "Smallest share of the picture", "float", 0.0, "detailer", minimum=0, maximum=1, step=0.01,
          api="ad_mask_min_ratio", infotext="mask min ratio", xyz="mask min ratio",
          help="What covers less of it stays as it is."),
    Field("most_share", "Largest share of the picture", "float", 1.0, "detailer", minimum=0, maximum=1, step=0.01,
          api="ad_mask_max_ratio", infotext="mask max ratio", xyz="mask max ratio",
          help="What covers more of it stays as it is."),
    Field("x_offset", "Move the mask right", "int", 0, "detailer", minimum=-200, maximum=200, step=1, api="ad_x_offset",
          infotext="x offset", xyz="x offset", help="Pixels; below 0 to the left."),
    Field("y_offset", "Move the mask up", "int", 0, "detailer", minimum=-200, maximum=200, step=1, api="ad_y_offset",
          infotext="y offset", xyz="y offset", help="Pixels; below 0 down."),
    Field("grow", "Grow the mask", "int", 4, "detailer", minimum=-128, maximum=128, step=4, api="ad_dilate_erode",
          infotext="dilate erode", infotext_always=True, xyz="growth",
          help="Pixels by which what was found is made wider and higher; below 0 smaller."),
    Field("mask_blur", "Mask blur", "int", 4, "detailer", minimum=0, maximum=64, step=1, api="ad_mask_blur",
          infotext="mask blur", infotext_always=True, xyz="mask blur",
          help="Pixels over which the mask's edge is softened."),
    Field("denoising_strength", "Denoising strength", "float", 0.4, "detailer", minimum=0, maximum=1, step=0.01,
          api="ad_denoising_strength", infotext="denoising strength", infotext_always=True, xyz="denoising strength",
          help="How much it changes; 0 is as if the unit were not there."),
    Field("padding", "Padding", "int", 32, "detailer", minimum=0, maximum=256, step=4,
          api="ad_inpaint_only_masked_padding", infotext="inpaint padding", infotext_always=True,
          infotext_flag="inpaint only masked", xyz="padding",
          help="Pixels around what was found that are drawn with it, so that it fits in."),
    Field("whole", "Draw the whole picture", "bool", False, "detailer", infotext="inpaint whole picture",
          xyz="whole picture",
          help="Not only the surroundings of what was found; it still changes under its mask alone."),
    Field("sam", "Mask by SAM", "bool", False, "detailer", infotext="SAM", xyz="mask by SAM",
          help="The mask follows the outline of what was found, by SAM in models/sams. Without it the mask is a box, "
               "or the outline that the detector itself tells."),
    Field("merge", "Mask merge mode", "choice", EACH, "detailer", choices=MERGES, api="ad_mask_merge_invert",
          infotext="mask merge invert", xyz="mask merge mode",
          help="None draws each object by itself, Merge all of them in one, Merge and Invert all but them."),
    Field("width", "Width", "int", 0, "detailer", minimum=0, maximum=2048, step=8, api="ad_inpaint_width",
          infotext="inpaint width", infotext_flag="use inpaint width height", xyz="width",
          help="Of what is drawn, before it is put back; 0 takes the picture's."),
    Field("height", "Height", "int", 0, "detailer", minimum=0, maximum=2048, step=8, api="ad_inpaint_height",
          infotext="inpaint height", infotext_flag="use inpaint width height", xyz="height",
          help="Of what is drawn, before it is put back; 0 takes the picture's."),
    Field("steps", "Steps", "int", 0, "detailer", minimum=0, maximum=1000, slider_maximum=150, step=1, api="ad_steps",
          infotext="steps", infotext_flag="use separate steps", xyz="steps", help="0 makes as many as the picture's."),
    Field("sampler", "Sampling method", "choice", SAME_SAMPLER, "detailer", choices=Names(SAMPLERS, (SAME_SAMPLER,)),
          resolve=lambda name: sampler_named(name).label, api="ad_sampler", infotext="sampler",
          infotext_flag="use separate sampler", xyz="sampler"),
    Field("schedule", "Schedule type", "choice", SAME_SCHEDULER, "detailer",
          choices=Names(SCHEDULES, (SAME_SCHEDULER,)), resolve=lambda name: schedule_named(name).label,
          api="ad_scheduler", infotext="scheduler", infotext_flag="use separate sampler", xyz="schedule"),
    Field("cfg_scale", "CFG scale", "float", 0.0, "detailer", minimum=0, maximum=999, slider_maximum=30, step=0.5,
          api="ad_cfg_scale", infotext="CFG scale", infotext_flag="use separate CFG scale", xyz="CFG scale",
          help="0 takes the picture's."),
    Field("noise_multiplier", "Noise multiplier", "float", 0.0, "detailer", minimum=0, maximum=1.5, step=0.01,
          api="ad_noise_multiplier", infotext="noise multiplier", infotext_flag="use separate noise multiplier",
          xyz="noise multiplier", help="Below 1 what is drawn changes less and gets smoother; 0 takes the picture's."),
    Field("clip_skip", "Clip skip", "int", 0, "detailer", minimum=0, maximum=12, step=1, api="ad_clip_skip",
          infotext="CLIP skip", infotext_flag="use separate CLIP skip", xyz="clip skip",
          help="0 takes the picture's."),
))
SPOKEN = ("prompt", "negative_prompt")


def is_on(unit: Mapping[str, Any]) -> bool:
    """Whether it changes the picture at all."""
    return bool(unit["enabled"]) and unit["denoising_strength"] > 0


def own_size(unit: Mapping[str, Any], whole: tuple[int, int]) -> tuple[int, int]:
    """Width and height at which a unit draws, where the picture's own are `whole`."""
    return unit["width"] or whole[0], unit["height"] or whole[1]


def too_small(units: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    """Sizes of units' own at which nothing can be drawn."""
    for number, unit in enumerate(units):
        for name in SIZES:
            if 0 < unit[name] < LEAST_SIDE:
                yield Problem(f"must be 0 for the picture's, or at least {LEAST_SIDE}",
                              place("detailers", number, name))


def own_sampling(unit: Mapping[str, Any]) -> dict[str, Any]:
    """By the names of a request's fields, what a unit has of its own."""
    left_open = {"steps": 0, "cfg_scale": 0, "sampler": SAME_SAMPLER, "schedule": SAME_SCHEDULER, "clip_skip": 0,
                 "noise_multiplier": 0}
    own = {name: unit[name] for name, value in left_open.items() if unit[name] != value}
    noise = {"initial_noise_multiplier": own.pop("noise_multiplier")} if "noise_multiplier" in own else {}
    return own | noise


def typed(units: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """(place, text) of what is typed into the units that are on."""
    for number, unit in enumerate(units):
        if is_on(unit):
            yield from ((place("detailers", number, name), unit[name]) for name in SPOKEN)


def flat_texts(units: Sequence[Mapping[str, Any]], texts: Mapping[str, str]) -> list[str]:
    """The texts of all units of one picture, those by `place` that were filled in, and the others as typed."""
    return [texts.get(place("detailers", number, name), unit[name])
            for number, unit in enumerate(units) for name in SPOKEN]


def with_texts(units: Sequence[Record], texts: Sequence[str], picture: int) -> tuple[Record, ...]:
    """The units with the texts of a picture, of which `texts` has those of all, or of one for all, or none."""
    each = len(SPOKEN) * len(units)
    start = picture * each if len(texts) > each else 0
    own = iter(texts[start:start + each])
    return tuple(Record({**unit, **dict(zip(SPOKEN, own, strict=False))}) for unit in units)


def said(units: Sequence[Mapping[str, Any]], texts: Sequence[str], number: int) -> list[tuple[str, str]]:
    """Prompt and negative prompt of unit `number` in each picture."""
    flat = texts or flat_texts(units, {})
    places = range(len(SPOKEN) * number, len(flat), len(SPOKEN) * len(units))
    return list(dict.fromkeys((flat[at], flat[at + 1]) for at in places))


def texts(unit: Mapping[str, Any], number: int, own: tuple[str, str]) -> tuple[str, str] | None:
    """Prompt and negative prompt of object `number`, where the picture's are `own`; None for one that stays."""
    found = []
    for name, whole in zip(SPOKEN, own, strict=True):
        parts = unit[name].split(NEXT)
        part = parts[min(number, len(parts) - 1)].strip()
        if part == LEAVE:
            return None
        found.append(part.replace(WITHIN, whole) or whole)
    return found[0], found[1]
