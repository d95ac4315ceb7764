"""AUTOMATIC1111's two options for eta, the share of fresh noise, as the one value that a request here has."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from backend.errors import InvalidRequest
from backend.image.infotext.eta import OF_TIMESTEPS
from backend.request.field import clean
from backend.request.request import FIELDS
from backend.sampling.names import SAME_SAMPLER, sampler_named

DDIM, ANCESTRAL = "eta_ddim", "eta_ancestral"
DEFAULTS: Mapping[str, float] = MappingProxyType({DDIM: 0.0, ANCESTRAL: 1.0})
"""What the samplers take by themselves, in AUTOMATIC1111 and here."""


def read(name: str, value: Any) -> float:
    """The value of one of the options. Raises ValueError."""
    return DEFAULTS[name] if value is None else clean(FIELDS["eta"], value)


def of_options(values: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, float]:
    """The eta of a request that names none, by the options and its samplers; nothing where they take their own.

    Raises InvalidRequest when its two passes go by different options.
    """
    meant = {name: options.get(name, DEFAULTS[name]) for name in map(_option, _samplers(values)) if name}
    if values.get("eta") is not None or all(meant[name] == DEFAULTS[name] for name in meant):
        return {}
    if len(set(meant.values())) > 1:
        wrong = next(name for name in meant if meant[name] != DEFAULTS[name])
        raise InvalidRequest("would count for both passes of hires fix, whose samplers take different ones; give eta",
                             field=f"override_settings.{wrong}")
    return {"eta": next(iter(meant.values()))}


def _samplers(values: Mapping[str, Any]) -> list[Any]:
    second = values.get("hr_sampler") if values.get("enable_hr") else None
    return [values.get("sampler"), *([second] if second not in (None, "", SAME_SAMPLER) else [])]


def _option(sampler: Any) -> str:
    """The option that a sampler goes by; "" for one without an eta, and for an unknown one, which is refused later."""
    try:
        row = sampler_named(str(sampler))
    except ValueError:
        return ""
    if "eta" not in row.ui_options:
        return ""
    return DDIM if row.label in OF_TIMESTEPS else ANCESTRAL
