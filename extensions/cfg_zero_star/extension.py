"""The parameters of CFG-Zero*."""

from __future__ import annotations

from backend.house import House
from backend.request.field import Field

SECTION = "CFG-Zero*"


def register(house: House) -> None:
    """Both doors read this."""
    house.fields.add(Field(
        name="cfg_zero_star", label="CFG-Zero*", kind="bool", default=False, group="extensions", section=SECTION,
        infotext="CFG-Zero star", xyz="CFG-Zero*", help="Made for flow networks; works on the others, too."))
    house.fields.add(Field(
        name="cfg_zero_steps", label="Steps without a prediction", kind="int", default=0, group="extensions",
        section=SECTION, minimum=0, maximum=20, step=1, infotext="CFG-Zero star steps", xyz="CFG-Zero* steps",
        needs=("cfg_zero_star",), help="The authors let the first step of a flow network predict nothing: 1."))
