"""Which names mean a distilled checkpoint, and what it is drawn with."""

from __future__ import annotations

import pytest

from backend.catalog.distilled import METHODS, defaults
from backend.request.request import Request

# name, method, steps
NAMES = [
    ("sdxl_lightning_4step", "Lightning", 4),
    ("sdxl_lightning_8step_unet", "Lightning", 8),
    ("Juggernaut_RunDiffusionPhoto2_Lightning_4Steps", "Lightning", 4),
    ("realvisxlV40_v40LightningBakedvae", "Lightning", 4),
    ("Hyper-SDXL-1step-Unet", "Hyper", 1),
    ("epicrealism_naturalSinRC1_hyper", "Hyper", 8),
    ("jibMixRealisticXL_v10Hyper8Steps", "Hyper", 8),
    ("dreamshaper_8LCM", "LCM", 6),
    ("LCM_Dreamshaper_v7", "LCM", 6),
    ("sd_xl_turbo_1.0_fp16", "SDXL Turbo", 4),
    ("sdxl-turbo", "SDXL Turbo", 4),
    ("dreamshaperXL_v21TurboDPMSDE", "Turbo", 6),
    ("TurboVisionXL", "Turbo", 6),
]
PLAIN = ["sd_xl_base_1.0", "ponyDiffusionV6XL", "hyperrealism_v2", "noobaiXL_vPred10", "calcmix", "v1-5-pruned-emaonly", "hypernova"]


@pytest.mark.parametrize(("name", "method", "steps"), NAMES)
def test_names_of_distilled_checkpoints(name: str, method: str, steps: int) -> None:
    row = next(row for row in METHODS if row.name == method)
    values = defaults(name)
    assert values == row.values(name) and values["steps"] == steps
    assert ("width" in values) == (method == "SDXL Turbo"), "fine-tuned models keep their family's size"


@pytest.mark.parametrize("name", PLAIN)
def test_names_that_only_look_so(name: str) -> None:
    assert defaults(name) == {}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_their_settings_are_valid_and_spelled_as_in_the_tables(method) -> None:
    values = method.values("0 steps")
    assert {name: getattr(Request.parse(values), name) for name in values} == values
