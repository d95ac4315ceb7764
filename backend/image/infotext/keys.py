"""The keys of a settings text: which are known, and how they are spelled, in whatever case somebody wrote them."""

from __future__ import annotations

from backend.request.field import Field
from backend.request.request import FIELDS
from backend.table import Table

OTHERS = (
    "Model hash", "VAE hash", "VAE", "Version", "Lora hashes", "TI hashes", "Hypernet", "Hypernet strength",
    "First pass size", "Refiner", "Refiner switch at", "Face restoration", "Token merging ratio", "Eta DDIM",
    "Hires checkpoint", "Hires scale", "Hires strength", "Pad conds", "Pad conds v0", "Conditional mask weight",
    "User", "App", "Scheduler", "Process",
)  # fmt: skip
"""What AUTOMATIC1111 and its relatives write beside the field table's keys."""


def _spellings(table: Table[Field]) -> dict[str, str]:
    keys = [field.infotext for field in table.values() if field.infotext]
    return {key.casefold(): key for key in (*OTHERS, *keys)}


_known = FIELDS.derived(_spellings)


def canonical(key: str) -> str:
    """A known key in its own spelling; any other as it is."""
    return _known().get(key.casefold(), key)


def is_known(key: str) -> bool:
    return key.casefold() in _known()
