"""The parameters of dynamic thresholding, under the names that AUTOMATIC1111's extension writes into pictures."""

from __future__ import annotations

from typing import Any

from backend.house import House
from backend.request.field import Field

SECTION = "Dynamic thresholding"
FROM_MEAN, FROM_ZERO = "MEAN", "ZERO"
PEAK, SPREAD = "AD", "STD"


def register(house: House) -> None:
    """Both doors read this."""
    def add(name: str, label: str, kind: Any, default: Any, infotext: str, **more: Any) -> None:
        house.fields.add(Field(
            name=f"dynthres_{name}", label=label, kind=kind, default=default, group="extensions", section=SECTION,
            infotext=infotext, **{"xyz": label, "needs": ("dynthres_enabled",)} | more))

    add("enabled", "Dynamic thresholding", "bool", False, "Dynamic thresholding enabled", needs=(),
        help="Set the CFG scale as high as you like; the contrast is that of the mimic scale.")
    add("mimic_scale", "Mimic scale", "float", 7.0, "Mimic scale", minimum=0, maximum=100, slider_maximum=30, step=0.5)
    add("percentile", "Threshold percentile", "float", 100.0, "Threshold percentile", minimum=90, maximum=100,
        step=0.05)
    add("separate_channels", "Separate feature channels", "bool", True, "Separate Feature Channels")
    add("startpoint", "Scaling startpoint", "choice", FROM_MEAN, "Scaling Startpoint", choices=(FROM_MEAN, FROM_ZERO))
    add("variability", "Variability measure", "choice", PEAK, "Variability Measure", choices=(PEAK, SPREAD),
        help="AD: the largest deviation. STD: the standard deviation.")
    add("phi", "Interpolate phi", "float", 1.0, "Interpolate Phi", minimum=0, maximum=1, step=0.01,
        help="1 is the new contrast alone, 0 plain guidance.")
