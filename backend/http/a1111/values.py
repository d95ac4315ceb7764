"""Values as AUTOMATIC1111's API takes them: numbers and yes or no as text, and text as numbers; whole numbers are cut,
sizes to cells."""

from __future__ import annotations

import math
from typing import Any

from backend.request.field import Field
from backend.request.loose_values import number, truth
from backend.request.output_size import CELL

NAMED = ("choice", "upscaler", "seed", "checkpoint", "second_checkpoint", "vae")
SIZES = ("width", "height")
# AUTOMATIC1111's own default for these is -1.
MINUS_ONE_IS_OFF = ("seed_resize_from_w", "seed_resize_from_h")
# Words that stand for one of ours. AUTOMATIC1111 shows previews after each step at 0, and none at -1.
WORDS: dict[str, dict[Any, Any]] = {
    "samples_format": {"jpeg": "jpg"},
    "hr_upscaler": {"None": "Lanczos"},         # it resizes by Lanczos
    "show_progress_every_n_steps": {-1: 0, 0: 1},
    "show_progress_type": {"Approx NN": "Approx cheap", "TAESD": "Approx cheap"},
}


def is_missing(field: Field, value: Any) -> bool:
    """null stands for "not given", and so does an empty name or seed."""
    return value is None or (value == "" and field.kind in NAMED)


def as_ours(key: str, field: Field, value: Any) -> Any:
    """The value under AUTOMATIC1111's name `key` as the field has it; what it cannot be stays, to be refused."""
    if isinstance(value, int | str):
        value = WORDS.get(key, {}).get(value, value)
    if field.api_index:
        return _choice(field, value)
    if field.kind == "bool":
        return truth(value) if isinstance(value, str) and truth(value) is not None else value
    if field.kind in ("int", "seed"):
        return _whole(field, value)
    if field.kind == "text" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


def _choice(field: Field, value: Any) -> Any:
    """The choice that AUTOMATIC1111 numbers so, or answers by yes and no; an unknown number stays."""
    place = truth(value) if isinstance(value, bool) else number(value)
    if place is None and isinstance(value, str) and truth(value) is not None:
        place = truth(value)
    if place is None or place != int(place):
        return value
    return field.choices[int(place)] if 0 <= place < len(field.choices) else str(int(place))


def _whole(field: Field, value: Any) -> Any:
    """Cut towards 0, sizes down to whole cells. Whole numbers stay exact however large they are."""
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            value = value if (found := number(value)) is None else found
    if isinstance(value, float) and math.isfinite(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    if field.name in SIZES and value >= (field.minimum or CELL):
        return value // CELL * CELL
    return 0 if field.name in MINUS_ONE_IS_OFF and value == -1 else value
