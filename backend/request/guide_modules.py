"""The preprocessors of guides: what each is called, what can be set, and which files it needs.

Names, aliases, sliders and usual values are those of sd-webui-controlnet. What they do is the worker's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from backend.table import Table

UNION_KINDS = ("OpenPose", "Depth", "Soft Edge", "Hard Edge", "Normal Map", "Segmentation", "Tile", "Inpaint")
"""In the order in which Union and ProMax have learnt them; the first have six."""

Kind = Literal["hint", "picture_prompt", "style", "reference"]
NO_MODULE = "none"
PICTURE_PROMPT = "ip-adapter-auto"


@dataclass(frozen=True, slots=True)
class Slider:
    """A number that a preprocessor takes, under its own name."""

    label: str
    usual: float
    minimum: float
    maximum: float
    step: float = 1


@dataclass(frozen=True, slots=True)
class Module:
    """`kind`: what is made of the picture: a hint for a ControlNet or a T2I-Adapter, a picture prompt, or a reference.

    `sized`: it works at a resolution. `a`, `b`: its thresholds. `files`: the names of the files, or of the folder, that
    it needs below `models/annotators`.
    """

    name: str
    label: str
    kind: Kind = "hint"
    sized: bool = True
    a: Slider | None = None
    b: Slider | None = None
    files: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    def levels(self, unit: Mapping[str, Any]) -> tuple[float, float]:
        """Its two thresholds: those of the unit, or where these are below 0 the usual ones."""
        asked = (self.a, unit["threshold_a"]), (self.b, unit["threshold_b"])
        first, second = (usual.usual if usual and value < 0 else value for usual, value in asked)
        return first, second


_GAMMA = Slider("Gamma correction", 1, 0.1, 2, 0.001)

BUILT_IN = (
    Module(NO_MODULE, "None: the picture is what the model wants to see", sized=False),
    Module("canny", "Canny edges", a=Slider("Low threshold", 100, 1, 255), b=Slider("High threshold", 200, 1, 255)),
    Module("invert", "Inverted",
           aliases=("invert (from white bg & black line)", "invert (from black bg & white line)")),
    Module("blur_gaussian", "Blurred", a=Slider("Sigma", 9, 0.01, 64, 0.01), aliases=("blur",)),
    Module("tile_resample", "Tile", sized=False, a=Slider("Down sampling rate", 1, 1, 8, 0.01), aliases=("tile",)),
    Module("threshold", "Threshold", a=Slider("Binarization threshold", 127, 0, 255)),
    Module("lineart_standard", "Line art, plain", aliases=("lineart_standard (from white bg & black line)",)),
    Module("scribble_xdog", "Scribble (XDoG)", a=Slider("XDoG threshold", 32, 1, 64)),
    Module("recolor_luminance", "Recolour, by luminance", a=_GAMMA),
    Module("recolor_intensity", "Recolour, by intensity", a=_GAMMA),
    Module("shuffle", "Shuffle"),
    Module("t2ia_color_grid", "Colour grid", aliases=("color",)),
    Module("inpaint_only", "Inpaint", sized=False, aliases=("inpaint", "inpaint_global_harmonious")),
    Module(PICTURE_PROMPT, "Picture prompt, by the model", "picture_prompt", sized=False,
           aliases=("ip-adapter_clip_sd15", "ip-adapter_clip_h", "ip-adapter_clip_g", "ip-adapter_clip_sdxl",
                    "ip-adapter_clip_sdxl_plus_vith")),
)
MODULES: Table[Module] = Table("preprocessors of guides", BUILT_IN)

UNION_OF: Mapping[str, str] = {
    "canny": "Hard Edge", "lineart_standard": "Hard Edge", "scribble_xdog": "Soft Edge", "tile_resample": "Tile",
    "blur_gaussian": "Tile", "inpaint_only": "Inpaint",
}
"""What preprocessors make, as one of UNION_KINDS."""


def module_of(name: str) -> Module:
    """A preprocessor by its name or an alias, in any spelling. Raises KeyError."""
    wanted = name.strip().casefold()
    for module in MODULES.values():
        if wanted in (module.name.casefold(), *(alias.casefold() for alias in module.aliases)):
            return module
    raise KeyError(name)
