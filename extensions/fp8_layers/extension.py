"""The preset of 8-bit layers, with what it was measured to cost."""

from __future__ import annotations

from backend.house import House
from backend.request.field import Field

OFF, ON = "Off", "8-bit floating point"
COST = "41 dB and SSIM 0.975 to the exact picture on the demo, in the mean of 12"


def register(house: House) -> None:
    """Both doors read this."""
    house.fields.add(Field(
        name="fp8_layers", label="8-bit layers", kind="choice", default=OFF, group="extensions",
        section="8-bit layers", choices=(OFF, ON), infotext="8-bit layers", xyz="8-bit layers",
        help=f"The network's linear layers multiply 8-bit numbers: {COST}. Slower on a CPU."))
