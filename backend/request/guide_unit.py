"""The fields of one guide: a ControlNet or the like, the picture that it looks at, and how strongly it counts.

Names and values in a picture's text and in JSON are those of sd-webui-controlnet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from backend.request.field import Field
from backend.table import Table

NO_MODEL = "None"
NO_MODULE = "none"
PICTURE_PROMPT = "ip-adapter-auto"      # of an IP-Adapter, which sees the picture as it is
MODULES = (NO_MODULE, "canny", "invert", "blur_gaussian", "tile_resample", "threshold", PICTURE_PROMPT)
BALANCED, PROMPT_LEADS, CONTROL_LEADS = CONTROL_MODES = (
    "Balanced", "My prompt is more important", "ControlNet is more important")
RESIZE_MODES = ("Just Resize", "Crop and Resize", "Resize and Fill")
BOTH, FIRST, SECOND = PASSES = ("Both", "Low res only", "High res only")
MOST = 3                # units that a page has room for
_MODULES = {"invert (from white bg & black line)": "invert", "invert (from black bg & white line)": "invert",
            "tile": "tile_resample", "blur": "blur_gaussian",
            **dict.fromkeys(("ip-adapter_clip_sd15", "ip-adapter_clip_h", "ip-adapter_clip_g", "ip-adapter_clip_sdxl",
                             "ip-adapter_clip_sdxl_plus_vith"), PICTURE_PROMPT)}
_RESIZE_MODES = {"scale to fit (inner fit)": RESIZE_MODES[1], "inner fit (scale to fit)": RESIZE_MODES[1],
                 "envelope (outer fit)": RESIZE_MODES[2], "outer fit (shrink to fit)": RESIZE_MODES[2],
                 "resizemode.resize": RESIZE_MODES[0], "resizemode.inner_fit": RESIZE_MODES[1],
                 "resizemode.outer_fit": RESIZE_MODES[2]}
_CONTROL_MODES = {"controlmode.balanced": BALANCED, "controlmode.prompt": PROMPT_LEADS,
                  "controlmode.control": CONTROL_LEADS}
_PASSES = {"hiresfixoption.both": BOTH, "hiresfixoption.low_res_only": FIRST, "hiresfixoption.high_res_only": SECOND}


def _named(choices: Sequence[str], others: Mapping[str, str], *, numbered: bool = True) -> Callable[[str], str]:
    """Finds a choice by its name in any spelling, by another name, or by its number. It raises KeyError."""
    known = {str(number): choice for number, choice in enumerate(choices)} if numbered else {}
    known |= {choice.casefold(): choice for choice in choices} | dict(others)
    return lambda name: known[name.strip().casefold()]


GUIDE_UNIT: Table[Field] = Table("fields of a guide", (
    Field("enabled", "Enable", "bool", False, "guides", xyz="enable"),
    Field("image", "Picture", "picture", "", "guides"),
    Field("module", "Preprocessor", "choice", NO_MODULE, "guides", choices=MODULES,
          resolve=_named(MODULES, _MODULES, numbered=False),
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
    Field("hires", "Hires. fix pass", "choice", BOTH, "guides", choices=PASSES, resolve=_named(PASSES, _PASSES),
          infotext="Hr Option", api="hr_option", xyz="hires pass"),
))


def is_on(unit: Mapping[str, Any]) -> bool:
    """Whether it changes the picture at all."""
    return bool(unit["enabled"]) and unit["weight"] > 0
