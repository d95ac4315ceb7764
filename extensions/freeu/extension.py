"""FreeU's parameters, under the names that Forge writes into pictures."""

from __future__ import annotations

from backend.house import House
from backend.request.field import Field

SECTION = "FreeU"
NUMBERS = (("b1", 1.3, "Backbone of the deepest stage"), ("b2", 1.4, "Backbone of the next stage"),
           ("s1", 0.9, "Skip connections of the deepest stage"), ("s2", 0.2, "Skip connections of the next stage"))


def register(house: House) -> None:
    """Both doors read this."""
    house.fields.add(Field(
        name="freeu_enabled", label="FreeU", kind="bool", default=False, group="extensions", section=SECTION,
        infotext="freeu_enabled", xyz="FreeU",
        help="Works on SD1 and SDXL. Above 1 strengthens, below 1 weakens."))
    for name, default, label in NUMBERS:
        house.fields.add(Field(
            name=f"freeu_{name}", label=f"{label} ({name})", kind="float", default=default, group="extensions",
            section=SECTION, minimum=0.01, maximum=4, slider_maximum=2, step=0.01, infotext=f"freeu_{name}",
            xyz=f"FreeU {name}", needs=("freeu_enabled",)))
