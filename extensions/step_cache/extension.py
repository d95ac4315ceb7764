"""The presets of the step cache."""

from __future__ import annotations

from backend.house import House
from backend.request.field import Field

OFF = "Off"
COSTS = {"Every 2nd step": "35 dB to it on the demo, in the mean of 12", "Every 3rd step": "31 dB to it on the demo",
         "Every 5th step": "25 dB to it on the demo"}
EVERY = {"Every 2nd step": 2, "Every 3rd step": 3, "Every 5th step": 5}


def register(house: House) -> None:
    """Both doors read this."""
    house.fields.add(Field(
        name="step_cache", label="Step cache", kind="choice", default=OFF, group="extensions", section="Step cache",
        choices=(OFF, *EVERY), infotext="Step cache", xyz="Step cache",
        help="The whole network runs in every 2nd, 3rd or 5th step only: 1.7, 1.9 or 2.7 times as fast on the demo, "
             "with 35, 31 or 25 dB to the exact picture; now and then it is another one."))
