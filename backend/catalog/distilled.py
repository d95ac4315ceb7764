"""Field values that suit distilled checkpoints, which draw in a few steps. Only their names tell what they are.

Each row follows what the authors of the method recommend; Turbo means SDXL Turbo's training, which fine-tuned models
of that name have taken over from it with some guidance.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_STEPS = re.compile(r"(?<!\d)(\d{1,2})[\s_-]*steps?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Distilled:
    """A method of distillation: how names tell of it, and the settings that its networks want.

    `counts`: a name that says "4step" wants as many steps. `side`: pixels, where they are not the family's.
    """

    name: str
    pattern: re.Pattern[str]
    steps: int
    cfg_scale: float
    sampler: str
    schedule: str
    counts: bool = True
    side: int = 0

    def values(self, name: str) -> dict[str, Any]:
        """Field values for a checkpoint of this name."""
        said = _STEPS.search(name) if self.counts else None
        steps = max(int(said[1]), 1) if said else self.steps
        size = {"width": self.side, "height": self.side} if self.side else {}
        return {"steps": steps, "cfg_scale": self.cfg_scale, "sampler": self.sampler, "schedule": self.schedule, **size}


def _named(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


METHODS = (
    Distilled("Lightning", _named(r"lightning"), 4, 1.0, "Euler", "SGM Uniform"),
    Distilled("Hyper", _named(r"hyper(?=sd|[^a-z]|$)"), 8, 1.0, "Euler", "SGM Uniform"),
    Distilled("LCM", _named(r"(?<![a-z])lcm|lcm(?![a-z])"), 6, 1.5, "LCM", "Automatic", counts=False),
    Distilled("SDXL Turbo", _named(r"sd[\s_-]*(xl)?[\s_-]*turbo"), 4, 1.0, "Euler a", "Turbo", side=512),
    Distilled("Turbo", _named(r"turbo"), 6, 2.0, "DPM++ SDE", "Karras"),
)
"""In the order in which they are tried."""


def defaults(name: str) -> dict[str, Any]:
    """Field values for a checkpoint of this file or folder name; {} for one that is not distilled."""
    method = next((method for method in METHODS if method.pattern.search(name)), None)
    return method.values(name) if method else {}
