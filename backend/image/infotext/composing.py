"""A request as a settings text: prompts, then one line of keys in AUTOMATIC1111's order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from backend.image.infotext import records
from backend.image.infotext.eta import eta_key
from backend.image.infotext.syntax import NEGATIVE, quote
from backend.request.field import Field
from backend.request.record import plain
from backend.request.request import FIELDS, Request
from backend.sampling.samplers import SAMPLERS
from backend.table import Table
from backend.version import VERSION

EXACT = "Easel"
PROMPTS = ("Prompt", "Negative prompt")
ORDER = (
    "Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Model hash", "Model", "VAE hash", "VAE",
    "Variation seed", "Variation seed strength", "Seed resize from", "Denoising strength", "Clip skip", "ENSD", "RNG",
)  # fmt: skip
"""AUTOMATIC1111's first keys; others of the table, then of the worker, follow in their own order."""


def composed(request: Request, facts: Mapping[str, Any], lost: Mapping[str, Any] | None = None) -> str:
    """The text; `facts` are further keys, `lost` the fields that only the key `Easel` can carry."""
    entries = _entries(request) | {key: number(value) for key, value in facts.items() if value is not None}
    if lost:
        entries[EXACT] = json.dumps({name: plain(value) for name, value in lost.items()}, ensure_ascii=False)
    ordered = {key: entries[key] for key in ORDER if key in entries} | entries
    ordered["Version"] = f"Easel {VERSION}"
    line = ", ".join(pair(key, value) for key, value in ordered.items() if value)
    negative = f"\n{NEGATIVE} {request.negative_prompt}" if request.negative_prompt else ""
    return f"{request.prompt}{negative}\n{line}".strip()


def pair(key: str, value: Any) -> str:
    """AUTOMATIC1111 writes a key that equals its value alone; a field of the table would be lost that way."""
    alone = key == value and key not in by_key() and not records.is_record_key(key)
    return key if alone else f"{key}: {quote(str(value))}"


def number(value: Any) -> str:
    """Python's shortest form that reads back to the same number; whole ones without their `.0`."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def own_schedule(sampler: str) -> str:
    """What Automatic stands for, where the sampler names a schedule."""
    schedule = SAMPLERS[sampler].schedule
    return "Automatic" if schedule == "Uniform" else schedule


def _by_key(table: Table[Field]) -> dict[str, list[Field]]:
    keys: dict[str, list[Field]] = {}
    for field in table.values():
        if field.infotext and field.kind != "records":
            keys.setdefault(field.infotext, []).append(field)
    return keys


by_key = FIELDS.derived(_by_key)
"""Infotext key -> its fields, in table order; two fields share a key that is written `NxM`."""


def _entries(request: Request) -> dict[str, str]:
    """Key -> text, in table order, without the prompts."""
    found = {}
    for key, fields in by_key().items():
        values = [getattr(request, field.name) for field in fields]
        always = any(field.infotext_always for field in fields)
        changed = values != [field.default for field in fields]
        if key not in PROMPTS and not request.idle(fields[0]) and (always or changed):
            found[eta_key(request.sampler) if key == "Eta" else key] = "x".join(map(number, values))
    schedule = own_schedule(request.sampler) if request.schedule == "Automatic" else request.schedule
    found |= {"Schedule type": schedule}
    found |= {key: number(value) for key, value in records.write_flat_records(request).items()}
    return found | records.write_records(request, lambda key, value: pair(key, number(value)))
