"""What changed a picture of another program, by its settings text, and has no like here."""

from __future__ import annotations

import re

from backend.image.infotext.composing import by_key
from backend.image.infotext.entries import entries
from backend.image.infotext.script_keys import script_keys, unlike

RESTING = ("", "0", "0.0", "none", "automatic", "false", "full", "disable")     # values at which nothing is changed
_KEYS = re.compile(
    r"VAE (?:En|De)coder|Token merging ratio(?: hr)?|NGMS all steps|FP8 weight|Skip Early CFG"
    r"|Conditional mask weight|Pad conds(?: v0)?|Hypertile U-Net|Tiled Diffusion"
    r"|Dynamic thresholding enabled|freeu_enabled|sag_enabled|pag_enabled|RP Active|AnimateDiff|kohya_hrfix_enabled"
    r"|ADetailer (?:model [3-9]\w+|(?:use separate (?:checkpoint|VAE)|restore face|ControlNet model"
    r"|checkpoint)(?: 2nd)?)",
    re.IGNORECASE)
_SWITCHED_OFF = re.compile(r"ADetailer inpaint only masked(?: 2nd)?", re.IGNORECASE)     # what is always on here


def _unmet(text: str) -> dict[str, str]:
    """Key -> value of what Easel does not have, and which was not at rest. Never raises."""
    found = entries(text)
    read = by_key().keys() | script_keys()
    asked = {key: found[key] for argument in unlike(found) for key in argument.keys if key in found}
    return asked | {key: value for key, value in found.items()
                    if _KEYS.fullmatch(key) and key not in read and value.strip().casefold() not in RESTING
                    or _SWITCHED_OFF.fullmatch(key) and value.strip().casefold() == "false"}


def unmet_sentence(text: str) -> str:
    """The same as a person is told; "" for nothing."""
    names = ", ".join(f"{key} ({value[:60]})" for key, value in _unmet(text).items())
    return f"Easel does without what else changed this picture: {names}." if names else ""
