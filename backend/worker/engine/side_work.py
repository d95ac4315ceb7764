"""What is made beside the network's calls, and for whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from backend.worker.engine.program import Program
from backend.worker.models.codec import Coming, DecodeLatent, EncodePicture


@dataclass(slots=True, eq=False, weakref_slot=True)
class SideWork:
    """What is on its way for programs, each with what it asked for; `answer` hands it out to those that still wait."""

    programs: Sequence[Program]
    works: Sequence[EncodePicture | DecodeLatent]
    coming: Coming[Any]
    answer: Callable[[SideWork, list[Program]], None]

    def is_for(self, program: Program) -> bool:
        """Whether the program still waits for it."""
        return program.work is self.works[self.programs.index(program)]
