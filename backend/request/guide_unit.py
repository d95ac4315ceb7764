"""The fields of one guide: a ControlNet or the like, the picture that it looks at, and how strongly it counts.

Names and values in a picture's text and in JSON are those of sd-webui-controlnet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from backend.request.field import Field
from backend.request.guide_modules import MODULES, NO_MODULE, UNION_KINDS, UNION_OF, module_of
from backend.request.ip_adapter_weight_types import LINEAR, WEIGHT_TYPES
from backend.table import Names, Table

NO_MODEL = "None"
BALANCED, PROMPT_LEADS, CONTROL_LEADS = CONTROL_MODES = (
    "Balanced", "My prompt is more important", "ControlNet is more important")
RESIZE_MODES = ("Just Resize", "Crop and Resize", "Resize and Fill")
BOTH, FIRST, SECOND = PASSES = ("Both", "Low res only", "High res only")
AUTOMATIC = "Automatic"
CONCATENATE, AVERAGE, SUBTRACT = COMBINATIONS = ("Concatenate", "Average", "Subtract")
LARGEST = "Largest first"
FACE_ORDERS = (LARGEST, "Smallest first", "Left to right", "Right to left", "Top to bottom", "Bottom to top")
MOST_PICTURES = 16      # of one unit, beside its first
MOST = 10               # units of a request
_RESIZE_MODES = {"scale to fit (inner fit)": RESIZE_MODES[1], "inner fit (scale to fit)": RESIZE_MODES[1],
                 "envelope (outer fit)": RESIZE_MODES[2], "outer fit (shrink to fit)": RESIZE_MODES[2],
                 "resize": RESIZE_MODES[0], "inner_fit": RESIZE_MODES[1], "outer_fit": RESIZE_MODES[2]}
_CONTROL_MODES = {"prompt": PROMPT_LEADS, "control": CONTROL_LEADS}
_PASSES = {"low_res_only": FIRST, "high_res_only": SECOND}
_ENUMS = ("resizemode.", "controlmode.", "hiresfixoption.")      # as Python writes a value of theirs


def _named(choices: Sequence[str], others: Mapping[str, str]) -> Callable[[str], str]:
    """Finds a choice by its name in any spelling, by another name, or by its number. It raises KeyError."""
    numbered = {str(number): choice for number, choice in enumerate(choices)}
    known = numbered | {choice.casefold(): choice for choice in choices} | dict(others)

    def found(name: str) -> str:
        word = name.strip().casefold()
        return known[next((word.removeprefix(enum) for enum in _ENUMS if word.startswith(enum)), word)]

    return found


_of_union = _named(UNION_KINDS, {})

GUIDE_UNIT: Table[Field] = Table("fields of a guide", (
    Field("enabled", "Enable", "bool", False, "guides", xyz="enable"),
    Field("image", "Picture", "picture", "", "guides", xyz="picture"),
    Field("mask", "Region", "picture", "", "guides", api="effective_region_mask", xyz="region",
          help="Where the unit acts, white on black; without one everywhere. With the preprocessor inpaint_only: what "
               "is missing in the unit's own picture."),
    Field("module", "Preprocessor", "choice", NO_MODULE, "guides", choices=Names(MODULES),
          resolve=lambda name: module_of(name).name,
          infotext="Module", infotext_always=True, xyz="preprocessor",
          help="What is made of the picture before the model looks at it. none: it is what the model wants to see."),
    Field("model", "Model", "guide_model", NO_MODEL, "guides", choices=(NO_MODEL,), infotext="Model",
          infotext_always=True, xyz="model",
          help="A file in models/controlnet or ip_adapter for the checkpoint's family."),
    Field("weight", "Control weight", "float", 1.0, "guides", minimum=0, maximum=2, step=0.05, infotext="Weight",
          infotext_always=True, xyz="weight", help="0 is as if the unit were not there."),
    Field("start", "Starting step", "float", 0.0, "guides", minimum=0, maximum=1, step=0.01,
          infotext="Guidance Start", infotext_always=True, api="guidance_start", xyz="start",
          help="The share of the steps after which it begins."),
    Field("end", "Ending step", "float", 1.0, "guides", minimum=0, maximum=1, step=0.01, infotext="Guidance End",
          infotext_always=True, api="guidance_end", xyz="end", help="The share of the steps after which it ends."),
    Field("control_mode", "Control mode", "choice", BALANCED, "guides", choices=CONTROL_MODES,
          resolve=_named(CONTROL_MODES, _CONTROL_MODES),
          infotext="Control Mode", infotext_always=True, xyz="control mode",
          help="What counts where prompt and picture disagree."),
    Field("resize_mode", "Resize mode", "choice", RESIZE_MODES[1], "guides", choices=RESIZE_MODES,
          resolve=_named(RESIZE_MODES, _RESIZE_MODES),
          infotext="Resize Mode", infotext_always=True, xyz="resize mode"),
    Field("pixel_perfect", "Pixel perfect", "bool", False, "guides", infotext="Pixel Perfect", infotext_always=True,
          xyz="pixel perfect",
          help="The preprocessor works at the size of the drawn picture."),
    Field("processor_res", "Preprocessor resolution", "int", 512, "guides", minimum=64, maximum=2048, step=8,
          infotext="Processor Res", xyz="preprocessor resolution", help="Pixels of the shorter side."),
    Field("threshold_a", "Threshold A", "float", -1.0, "guides", minimum=-1, maximum=255, step=1,
          infotext="Threshold A", xyz="threshold A",
          help="canny: the lower threshold; blur: its width; tile: how much smaller; threshold: the level. "
               "-1 takes the usual value."),
    Field("threshold_b", "Threshold B", "float", -1.0, "guides", minimum=-1, maximum=255, step=1,
          infotext="Threshold B", xyz="threshold B", help="canny: the upper threshold. -1 takes the usual value."),
    Field("union_type", "Kind of hint", "choice", AUTOMATIC, "guides", choices=(AUTOMATIC, *UNION_KINDS),
          resolve=lambda name: {"unknown": AUTOMATIC}.get(name.strip().casefold()) or _of_union(name),
          infotext="Union Control Type", api="union_control_type", xyz="kind of hint",
          help="What a ControlNet of several kinds (Union, ProMax) is shown. Automatic: what the preprocessor makes."),
    Field("hires", "Hires. fix pass", "choice", BOTH, "guides", choices=PASSES, resolve=_named(PASSES, _PASSES),
          infotext="Hr Option", api="hr_option", xyz="hires pass"),
    Field("low_vram", "Low memory", "bool", False, "guides", infotext="Low Vram", xyz="low memory",
          help="Its model leaves the device before the picture is decoded, and comes back for the next."),
    Field("more_images", "More pictures", "pictures", (), "guides", maximum=MOST_PICTURES, xyz="more pictures",
          help="Of the same thing or person, for a unit whose picture is a prompt."),
    Field("combine", "Several pictures", "choice", CONCATENATE, "guides", choices=COMBINATIONS, infotext="Combine",
          xyz="several pictures",
          help="Concatenate shows all of them, Average their mean, Subtract the first without what the others share."),
    Field("weight_type", "Weight type", "choice", LINEAR, "guides", choices=WEIGHT_TYPES, infotext="Weight Type",
          xyz="weight type", help="In which blocks of the network a picture prompt counts, and how much."),
    Field("block_weights", "Weights by block", "text", "", "guides", infotext="Block Weights",
          xyz="weights by block",
          help="In place of a weight type: a number for each block (16 in SD 1, 11 in SDXL), or 6:1, 3:0.5 for some."),
    Field("uncond_noise", "Noise for none", "float", 0.0, "guides", minimum=0, maximum=1, step=0.05,
          infotext="Uncond Noise", xyz="noise for none",
          help="Noise in the empty picture that a picture prompt is set against; makes it stronger."),
    Field("face_order", "Faces in order", "choice", LARGEST, "guides", choices=FACE_ORDERS, infotext="Face Order",
          xyz="faces in order", help="How the faces of the picture are counted."),
    Field("face_index", "Number of the face", "int", 0, "guides", minimum=0, maximum=99, step=1,
          infotext="Face Index", xyz="number of the face", help="0 is the first in that order."),
    Field("lora_weight", "Weight of its LoRA", "float", 1.0, "guides", minimum=0, maximum=2, step=0.05,
          infotext="Lora Weight", xyz="weight of its LoRA", help="Of the LoRA that a FaceID file carries."),
))


def is_on(unit: Mapping[str, Any]) -> bool:
    """Whether it changes the picture at all."""
    return bool(unit["enabled"]) and unit["weight"] > 0


def union_kind(unit: Mapping[str, Any]) -> int:
    """Which of UNION_KINDS a ControlNet of several kinds is shown; the first where nothing tells."""
    told = UNION_OF.get(unit["module"]) if unit["union_type"] == AUTOMATIC else unit["union_type"]
    return UNION_KINDS.index(told) if told else 0
