"""FreeU's parameters, under the names that Forge writes into pictures."""

from __future__ import annotations

from backend.house import House
from backend.request.always_on_scripts import AlwaysOnScript, Argument, switch
from backend.request.field import Field

SECTION = "FreeU"
NUMBERS = (("b1", 1.3, "Backbone of the deepest stage"), ("b2", 1.4, "Backbone of the next stage"),
           ("s1", 0.9, "Skip connections of the deepest stage"), ("s2", 0.2, "Skip connections of the next stage"))
FIRST, SECOND = "1", "2"
OF_FORGE = (("b1", 1.01, 2), ("b2", 1.02, 2), ("s1", 0.99, 4), ("s2", 0.95, 4))      # its usual values, and its largest


def _of_forge(name: str) -> AlwaysOnScript:
    numbers = (Argument(number.upper(), usual, f"freeu_{number}", 0, largest, 0.01, keys=(f"freeu_{number}",))
               for number, usual, largest in OF_FORGE)
    return AlwaysOnScript(name, (
        switch("freeu_enabled", field="freeu_enabled"), *numbers,
        Argument("Start step", 0.0, keys=("freeu_start",)), Argument("End step", 1.0, keys=("freeu_end",)),
    ), {"freeu_version": SECOND})


SCRIPTS = (_of_forge("FreeU Integrated"), _of_forge("FreeU Integrated (SD 1.x, SD 2.x, SDXL)"))
"""Forge's, under an earlier and a later name."""


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
    house.fields.add(Field(
        name="freeu_version", label="FreeU version", kind="choice", default=FIRST, group="extensions", section=SECTION,
        choices=(FIRST, SECOND), infotext="FreeU version", xyz="FreeU version", needs=("freeu_enabled",),
        help="1: the authors' first, as diffusers has it. 2: as Forge and ComfyUI, what is strong is amplified more."))
    for script in SCRIPTS:
        house.scripts.add(script)
