"""The parameters of perturbed-attention guidance."""

from __future__ import annotations

from backend.house import House
from backend.request.always_on_scripts import AlwaysOnScript, Argument, switch
from backend.request.field import Field

SECTION = "Perturbed attention"
BLOCKS = ("Middle", "Up", "Down", "All")
OF_FORGE = AlwaysOnScript("PerturbedAttentionGuidance Integrated", (
    switch("pagi_enabled", "PerturbedAttentionGuidance_enabled"),
    Argument("Scale", 3.0, "pag_scale", 0, 100, 0.1, keys=("pagi_scale", "PerturbedAttentionGuidance_scale")),
    Argument("Attenuation (linear, % of scale)", 0.0, keys=("pagi_attenuation",)),
    Argument("Start step", 0.0, keys=("pagi_start_step",)),
    Argument("End step", 1.0, keys=("pagi_end_step",)),
), {"pag_blocks": "Middle"})


def register(house: House) -> None:
    """Both doors read this."""
    house.fields.add(Field(
        name="pag_scale", label="PAG scale", kind="float", default=0.0, group="extensions", section=SECTION, minimum=0,
        maximum=30, slider_maximum=10, step=0.1, infotext="PAG scale", xyz="PAG scale",
        help="0 is off; 3 is usual. A step takes one evaluation of the network more."))
    house.fields.add(Field(
        name="pag_blocks", label="PAG layers", kind="choice", default="Middle", group="extensions", section=SECTION,
        choices=BLOCKS, infotext="PAG layers", xyz="PAG layers", needs=("pag_scale",),
        help="Whose self-attention sees nothing but itself in that evaluation."))
    house.scripts.add(OF_FORGE)
