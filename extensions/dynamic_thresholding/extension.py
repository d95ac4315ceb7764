"""The parameters of dynamic thresholding, under the names that AUTOMATIC1111's extension writes into pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backend.house import House
from backend.request.always_on_scripts import AlwaysOnScript, Argument, switch
from backend.request.field import Field
from backend.request.loose_values import number

SECTION = "Dynamic thresholding"
FROM_MEAN, FROM_ZERO = "MEAN", "ZERO"
PEAK, SPREAD = "AD", "STD"
MODE = "Constant"       # of both scales over the steps; others are not there
OF_FORGE = "dynthres_"


def _script(name: str, keys: Sequence[str], percentile: Argument, separate: Argument, **more: Any) -> AlwaysOnScript:
    """AUTOMATIC1111's extension and Forge's have the same twelve arguments; `keys` are those of the ten others."""
    (on, mimic, mimic_mode, mimic_least, cfg_mode, cfg_least, power, start, measure, phi) = ((key,) for key in keys)
    return AlwaysOnScript(name, (
        switch(*on, field="dynthres_enabled"),
        Argument("Mimic CFG Scale", 7.0, "dynthres_mimic_scale", 0, 100, 0.5, keys=mimic),
        percentile,
        Argument("Mimic Scale Scheduler", MODE, choices=(MODE,), keys=mimic_mode),
        Argument("Minimum value of the Mimic Scale Scheduler", 0.0, idle=True, keys=mimic_least),
        Argument("CFG Scale Scheduler", MODE, choices=(MODE,), keys=cfg_mode),
        Argument("Minimum value of the CFG Scale Scheduler", 0.0, idle=True, keys=cfg_least),
        Argument("Scheduler Value", 4.0, idle=True, keys=power),
        separate,
        Argument("Scaling Startpoint", FROM_MEAN, "dynthres_startpoint", choices=(FROM_ZERO, FROM_MEAN), keys=start),
        Argument("Variability Measure", PEAK, "dynthres_variability", choices=(SPREAD, PEAK), keys=measure),
        Argument("Interpolate Phi", 1.0, "dynthres_phi", 0, 1, 0.01, keys=phi),
    ), **more)


def _from_forge(values: dict[str, Any]) -> dict[str, Any]:
    """It has shares for percents, and words for yes and no."""
    share, separate = number(values["dynthres_percentile"]), str(values["dynthres_separate_channels"]).casefold()
    percents = {} if share is None else {"dynthres_percentile": 100 * share}
    return values | percents | {"dynthres_separate_channels": separate not in ("disable", "false")}


SCRIPTS = (
    _script("Dynamic Thresholding (CFG Scale Fix)",
            ("Dynamic thresholding enabled", "Mimic scale", "Mimic mode", "Mimic scale minimum", "CFG mode",
             "CFG scale minimum", "Scheduler value", "Scaling Startpoint", "Variability Measure", "Interpolate Phi"),
            Argument("Top percentile of latents to clamp", 100.0, "dynthres_percentile", 90, 100, 0.05,
                     keys=("Threshold percentile",)),
            Argument("Separate Feature Channels", True, "dynthres_separate_channels",
                     keys=("Separate Feature Channels",))),
    _script("DynamicThresholding (CFG-Fix) Integrated",
            [OF_FORGE + key for key in ("enabled", "mimic_scale", "mimic_mode", "mimic_scale_min", "cfg_mode",
                                        "cfg_scale_min", "sched_val", "scaling_startpoint", "variability_measure",
                                        "interpolate_phi")],
            Argument("Threshold Percentile", 1.0, "dynthres_percentile", 0, 1, 0.01,
                     keys=(f"{OF_FORGE}threshold_percentile",)),
            Argument("Separate Feature Channels", "enable", "dynthres_separate_channels",
                     choices=("enable", "disable"), keys=(f"{OF_FORGE}separate_feature_channels",)),
            adapt=_from_forge),
)


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
    for script in SCRIPTS:
        house.scripts.add(script)
