"""What AUTOMATIC1111 1.10.1 takes an infotext to mean beyond its letters: absent keys, and versions of itself."""

from __future__ import annotations

import math
import re
from typing import Any

from backend.image.foreign_metadata.sampler_names import schedule as schedule_label
from backend.prompt.grammar import parse_weights
from backend.sampling.schedules import SCHEDULES

_VERSION = re.compile(r"\s*v?(\d{1,9}(?:\.\d{1,9})*)(?:-?(?:(rc)\d{0,9}|(?<=-)(\d{1,9}))(?:-.*)?)?\s*", re.IGNORECASE)

_SAME = {"Hires sampler": "Use same sampler", "Hires schedule type": "Use same scheduler",
         "Hires checkpoint": "Use same checkpoint", "Hires prompt": "", "Hires negative prompt": ""}  # fmt: skip
_INPAINT = {"Mask mode": "Inpaint masked", "Masked content": "original", "Inpaint area": "Whole picture",
            "Masked area padding": 32}  # fmt: skip
_REST = {"RNG": "GPU", "Schedule type": "Automatic", "Schedule max sigma": 0, "Schedule min sigma": 0,
         "Schedule rho": 0, "VAE Encoder": "Full", "VAE Decoder": "Full", "FP8 weight": "Disable"}  # fmt: skip
IMPLIED = {"Prompt", "Negative prompt", "Clip skip", "Hires resize-1", "Hires resize-2", "Emphasis",
            "Refiner switch by sampling steps", "Styles array", *_SAME, *_INPAINT, *_REST}  # fmt: skip
_EMPHASIS_LIMIT = 20_000  # characters; longer texts are not asked whether their brackets cancel out


def add_defaults(found: dict[str, Any]) -> None:
    """What AUTOMATIC1111 takes an absent key to mean; in place."""
    found.setdefault("Clip skip", "1")
    if "Hypernet" in found:
        found["Prompt"] += f"<hypernet:{found['Hypernet']}:{found.get('Hypernet strength', '1.0')}>"
    if "Hires resize-1" not in found:
        found["Hires resize-1"] = found["Hires resize-2"] = 0
    for key, value in (_SAME | _INPAINT).items():
        found.setdefault(key, value)
    _restore_first_pass(found)
    for key, value in _REST.items():
        found.setdefault(key, value)
    if found["FP8 weight"] != "Disable":
        found.setdefault("Cache FP16 weight for LoRA", False)
    if "Emphasis" not in found and any(map(_uses_emphasis, (found["Prompt"], found["Negative prompt"]))):
        found["Emphasis"] = "Original"
    found.setdefault("Refiner switch by sampling steps", False)


def add_relatives(found: dict[str, Any]) -> None:
    """AUTOMATIC1111's keys for those that SD.Next and savers of ComfyUI write in their place; in place."""
    schedule = schedule_label(str(found.get("Scheduler", "")))
    if schedule in SCHEDULES and schedule != "Automatic":
        found.setdefault("Schedule type", schedule)
    if "Hires scale" in found:
        found.setdefault("Hires upscale", found["Hires scale"])
    if "Hires strength" in found:
        found.setdefault("Denoising strength", found["Hires strength"])


def _restore_first_pass(found: dict[str, Any]) -> None:
    """Before 2023 `Size` was the final size of the hires pass, and `First pass size` the one drawn first."""
    keys = ("First pass size-1", "First pass size-2")
    if any(key not in found for key in keys):
        return
    try:
        first = [int(found[key]) for key in keys]
        size = [int(found.get("Size-1", 512)), int(found.get("Size-2", 512))]
        if not all(first):  # 0x0: about 512 x 512 pixels in the picture's shape, in steps of 64
            scale = math.sqrt(512 * 512 / (size[0] * size[1]))
            first = [math.ceil(scale * side / 64) * 64 for side in size]
    except (ValueError, ZeroDivisionError, OverflowError):
        return
    found["Size-1"], found["Size-2"] = first
    found["Hires resize-1"], found["Hires resize-2"] = size


def _uses_emphasis(prompt: str) -> bool:
    brackets = "(" in prompt or "[" in prompt
    if not brackets or len(prompt) > _EMPHASIS_LIMIT:
        return brackets
    return any(weight != 1.0 and piece != "BREAK" for piece, weight in parse_weights(prompt))


def add_history(found: dict[str, Any]) -> None:
    """Switches that give a picture of an older AUTOMATIC1111 its old meaning."""
    version = parse_version(found.get("Version"))
    if version is None:
        return
    if version < (1, 6, 0, 0) and "[" in found["Prompt"]:
        found["Old prompt editing timelines"] = True
    if version < (1, 6, 0, 0) and found.get("Sampler") in ("DDIM", "PLMS"):
        found["Pad conds v0"] = True
    if version < (1, 7, 0, 225):
        found["Downcast alphas_cumprod"] = True
    if version < (1, 8, 0, 0) and found.get("Refiner"):
        found["Refiner switch by sampling steps"] = True


def parse_version(text: str | None) -> tuple[int, ...] | None:
    """`v1.7.0-133-gde03882d` as (1, 7, 0, 133); release candidates come before 0; None for commit hashes and others."""
    match = _VERSION.fullmatch(text or "")
    if not match:
        return None
    release = [int(part) for part in match[1].split(".")]
    commits = -1 if match[2] else int(match[3] or 0)
    return (*[*release, 0, 0][:3], commits)
