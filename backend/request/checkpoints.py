"""Which checkpoints draw the pictures of a request: its own, and others that take over from it."""

from __future__ import annotations

from backend.request.choices import DRAW, NO_REFINER, SAME_CHECKPOINT
from backend.request.request import FIELDS, Request

NEITHER = (NO_REFINER, SAME_CHECKPOINT)


def other_checkpoints(request: Request) -> list[tuple[str, str]]:
    """(field, name) of each that takes over in this request."""
    fields = [field for field in FIELDS.values() if field.kind == "second_checkpoint" and not request.idle(field)]
    named = [(field.name, getattr(request, field.name)) for field in fields]
    return [(field, name) for field, name in named if name not in NEITHER and request.process == DRAW]


def changes_checkpoint(request: Request) -> bool:
    """Whether not all of a picture is drawn by the request's own checkpoint."""
    return bool(other_checkpoints(request))


def second_checkpoint(request: Request) -> str:
    """The name of what draws the second pass of hires fix."""
    return dict(other_checkpoints(request)).get("hr_checkpoint_name", request.checkpoint)


def is_refined(request: Request, second_pass: bool) -> bool:
    """Whether the refiner takes over in the only pass, or in the first or second of hires fix."""
    if "refiner_checkpoint" not in dict(other_checkpoints(request)):
        return False
    if not request.enable_hr:
        return True
    return request.hires_fix_refiner_pass in ("both passes", "second pass" if second_pass else "first pass")
