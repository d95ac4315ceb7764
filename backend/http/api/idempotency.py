"""The Idempotency-Key header: what a client sends with it, and the hash by which a repeated request is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Header

Key = Annotated[str | None, Header(min_length=1, max_length=255, description="Sent again under the same key, within a "
                                   "day, the same request queues nothing a second time.")]


def digest(values: Mapping[str, Any]) -> str:
    """The same for the same values, in whatever order."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
