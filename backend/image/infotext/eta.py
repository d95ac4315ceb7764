"""The share of fresh noise has two keys: AUTOMATIC1111 keeps one for the samplers in the network's own timesteps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ETA, ETA_DDIM = "Eta", "Eta DDIM"
OF_TIMESTEPS = ("DDIM", "DDIM CFG++", "PLMS", "UniPC")


def eta_key(sampler: str) -> str:
    """The key under which a sampler's eta is told."""
    return ETA_DDIM if sampler in OF_TIMESTEPS else ETA


def eta_of(params: Mapping[str, Any], sampler: str) -> Any:
    """The eta that acted on a sampler, by the keys of a text; None where none is told.

    Easel wrote `Eta` for every sampler; AUTOMATIC1111's key of that name says nothing of those in timesteps.
    """
    if sampler not in OF_TIMESTEPS:
        return params.get(ETA)
    ours = params.get(ETA) if str(params.get("Version", "")).startswith("Easel") else None
    return params.get(ETA_DDIM, ours)
