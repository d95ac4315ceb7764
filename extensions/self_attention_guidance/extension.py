"""The parameters of self-attention guidance."""

from __future__ import annotations

from backend.house import House
from backend.request.always_on_scripts import AlwaysOnScript, Argument, switch
from backend.request.field import Field

SECTION = "Self-attention guidance"
THRESHOLD = 1.0         # of what is looked at; the worker's


def _of_forge(name: str) -> AlwaysOnScript:
    return AlwaysOnScript(name, (
        switch("sag_enabled"),
        Argument("Scale", 0.5, "sag_scale", -2, 5, 0.01, keys=("sag_scale",)),
        Argument("Blur Sigma", 2.0, "sag_blur", 0, 10, 0.01, keys=("sag_blur_sigma",)),
        Argument("Blur mask threshold", THRESHOLD, keys=("sag_threshold",)),
    ))


OF_AUTOMATIC1111 = AlwaysOnScript("Self Attention Guidance", (
    switch(),
    Argument("Scale", 0.75, "sag_scale", -2, 10, 0.01, keys=("SAG Guidance Scale",)),
    Argument("Mask Threshold", THRESHOLD, keys=("SAG Mask Threshold",)),
), {"sag_blur": 1.0})
SCRIPTS = (OF_AUTOMATIC1111, _of_forge("SelfAttentionGuidance Integrated"),
           _of_forge("SelfAttentionGuidance Integrated (SD 1.x, SD 2.x, SDXL)"))
"""Forge's has two names, an earlier and a later one."""


def register(house: House) -> None:
    """Both doors read this."""
    house.fields.add(Field(
        name="sag_scale", label="SAG scale", kind="float", default=0.0, group="extensions", section=SECTION, minimum=-2,
        maximum=10, slider_maximum=3, step=0.05, infotext="SAG scale", xyz="SAG scale",
        help="0 is off; 0.75 is usual. A step takes one network call more."))
    house.fields.add(Field(
        name="sag_blur", label="SAG blur", kind="float", default=1.0, group="extensions", section=SECTION, minimum=0.1,
        maximum=10, step=0.1, infotext="SAG blur", xyz="SAG blur", needs=("sag_scale",),
        help="How wide the blur is, in cells of the latent."))
    for script in SCRIPTS:
        house.scripts.add(script)
