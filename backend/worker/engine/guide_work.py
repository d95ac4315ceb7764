"""What guides and detailers ask of the engine: their models, hints, what is seen and found in pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from backend.worker.draw.guide_hint import Annotate
from backend.worker.draw.work_items import LeaveGuide, LoadGuide, ShowHint, ShowPicture
from backend.worker.engine.guide_loading import annotated, hint_shown, leave_guide, load_guide
from backend.worker.engine.image_prompts import shown
from backend.worker.engine.object_finding import objects_found
from backend.worker.engine.program import Program
from backend.worker.models.memory import Memory
from backend.worker.pixels.object_detection import FindObjects

GuideWork = LoadGuide | LeaveGuide | Annotate | ShowPicture | ShowHint | FindObjects

ANSWERS: Mapping[type, tuple[str, Callable[[Memory, Program, Any], Any]]] = {
    LoadGuide: ("loading", load_guide), LeaveGuide: ("loading", leave_guide), Annotate: ("preparing", annotated),
    ShowPicture: ("encoding", shown), ShowHint: ("encoding", hint_shown), FindObjects: ("preparing", objects_found),
}
"""By the kind of work: what the worker does meanwhile, and the answer that the work's docstring promises."""
