"""The fields of one pass of the detailer: what is found in a finished picture, and how it is drawn again.

Names and values in a picture's text and in JSON are those of ADetailer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.request.field import Field
from backend.table import Table

FACES = "Faces"         # found by the detector that restorers use
MOST_DETAILERS = 2      # passes of a request
WITHIN = "[PROMPT]"     # in a unit's prompt: here stands the picture's own
NEXT = "[SEP]"          # between the prompts of the first object, the second, ...
LEAVE = "[SKIP]"        # the prompt of an object that stays as it is

DETAILER_UNIT: Table[Field] = Table("fields of a detailer", (
    Field("enabled", "Enable", "bool", False, "detailer", api="ad_tab_enable", xyz="enable"),
    Field("model", "What is drawn again", "object_detector", FACES, "detailer", choices=(FACES,), api="ad_model",
          infotext="model", infotext_always=True, xyz="model",
          help="Faces, or what a detector finds whose ONNX file lies in models/adetailer."),
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
          infotext="mask only top k", xyz="at most", help="Only so many of the largest; 0 takes all."),
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
          api="ad_inpaint_only_masked_padding", infotext="inpaint padding", infotext_always=True, xyz="padding",
          help="Pixels around what was found that are drawn with it, so that it fits in."),
))


def is_on(unit: Mapping[str, Any]) -> bool:
    """Whether it changes the picture at all."""
    return bool(unit["enabled"]) and unit["denoising_strength"] > 0


def texts(unit: Mapping[str, Any], number: int, own: tuple[str, str]) -> tuple[str, str] | None:
    """Prompt and negative prompt of object `number`, where the picture's are `own`; None for one that stays."""
    found = []
    for name, whole in zip(("prompt", "negative_prompt"), own, strict=True):
        parts = unit[name].split(NEXT)
        part = parts[min(number, len(parts) - 1)].strip()
        if part == LEAVE:
            return None
        found.append(part.replace(WITHIN, whole) or whole)
    return found[0], found[1]
