"""The network that FID looks through: one file, which torch-fidelity publishes and Easel never fetches."""

from __future__ import annotations

from backend.catalog.description import Description
from backend.catalog.folder_scan import Found

FILE = "weights-inception-2015-12-05-6726825d.pth"
FOLDER = "fidelity"
_MARK = "Mixed_7c.branch_pool.conv.weight"


def describe(found: Found) -> Description:
    """Raises CheckpointError."""
    known = _MARK in found.header.shapes
    return Description(problem="" if known else f"it is not torch-fidelity's Inception network, {FILE}")
