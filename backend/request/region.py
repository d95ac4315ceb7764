"""The field of one region: where a part of the prompt, between two AND, acts."""

from __future__ import annotations

from backend.request.field import Field
from backend.table import Table

MOST_REGIONS = 8        # parts of a prompt that may have one

REGION: Table[Field] = Table("fields of a region", (
    Field("mask", "Region of the part", "picture", "", "guides", xyz="picture",
          help="Where this part of the prompt acts, white on black; without one everywhere."),
))
