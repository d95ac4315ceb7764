"""The door that both processes open."""

from __future__ import annotations

from collections.abc import Sequence

from backend.house import House
from backend.request.field import Field
from backend.sampling.protocol import Noise, Noisy, Sampler, pairs
from backend.sampling.sampler_row import SamplerRow
from backend.table import Table

UNIT = Table("sample unit", (
    Field(name="word", label="Word", kind="text", default="", group="advanced"),
    Field(name="weight", label="Weight", kind="float", default=1.0, group="advanced", minimum=0, maximum=2, step=0.1),
    Field(name="on", label="On", kind="bool", default=True, group="advanced"),
))


def straight(x, sigmas: Sequence[float], noise: Noise) -> Sampler:
    """Euler's method, written once more."""
    for i, (sigma, sigma_next) in enumerate(pairs(sigmas)):
        denoised = yield Noisy(x, sigma, i)
        x = denoised + (x - denoised) * (sigma_next / sigma)
    return x


def register(house: House) -> None:
    house.samplers.add(SamplerRow("Straight", straight, ("k_straight",)))
    house.fields.add(Field(name="sample_push", label="Sample push", kind="float", default=0.0, group="extensions",
                           section="Sample", minimum=0, maximum=1, step=0.05, infotext="Sample push", xyz="Sample push"))
    house.fields.add(Field(name="sample_units", label="Sample unit", kind="records", default=(), group="advanced",
                           maximum=2, record=UNIT, infotext="Sample unit"))
