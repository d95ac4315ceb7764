"""The parameters of adaptive projected guidance. At their defaults it is plain guidance."""

from __future__ import annotations

from backend.house import House
from backend.request.field import Field

SECTION = "Adaptive projected guidance"


def register(house: House) -> None:
    """Both doors read this."""
    house.fields.add(Field(
        name="apg_eta", label="APG eta", kind="float", default=1.0, group="extensions", section=SECTION, minimum=-10,
        maximum=10, slider_minimum=0, slider_maximum=1, step=0.05, infotext="APG eta", xyz="APG eta",
        help="How much of guidance along the picture itself is kept. 1 is plain guidance, 0 is the authors' choice."))
    house.fields.add(Field(
        name="apg_threshold", label="APG norm threshold", kind="float", default=0.0, group="extensions",
        section=SECTION, minimum=0, maximum=1000, slider_maximum=50, step=0.5, infotext="APG norm threshold",
        xyz="APG norm threshold",
        help="Guidance is no longer than this. 0 is no limit; the authors take 2.5 for SD 2.1, 15 for SDXL."))
    house.fields.add(Field(
        name="apg_momentum", label="APG momentum", kind="float", default=0.0, group="extensions", section=SECTION,
        minimum=-1, maximum=1, step=0.05, infotext="APG momentum", xyz="APG momentum",
        help="How much of the guidance of earlier steps is added; the authors take -0.75 for SD 2.1, -0.5 for SDXL."))
