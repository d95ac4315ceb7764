"""The parameters of self-attention guidance."""

from __future__ import annotations

from backend.house import House
from backend.request.field import Field

SECTION = "Self-attention guidance"


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
