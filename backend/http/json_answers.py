"""Answers in JSON that always are: what a client sent may come back in them, and not all of it can be written."""

from __future__ import annotations

import json
import math
from typing import Any

from starlette.responses import JSONResponse


class JSONAnswer(JSONResponse):
    """As starlette's, with "?" for halves of characters and null for what is no finite number: JSON has neither."""

    def render(self, content: Any) -> bytes:
        try:
            text = _written(content)
        except ValueError:
            text = _written(_finite(content))
        return text.encode("utf-8", "replace")


def _written(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
