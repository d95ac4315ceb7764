"""Which work is done next, of all that the programs ask for: one rule of order for every kind."""

from __future__ import annotations

from collections.abc import Sequence

from backend.worker.draw.work_items import EncodeText, LoadNetworks, Shared, UseModel
from backend.worker.engine.guide_work import GuideWork
from backend.worker.engine.program import Program
from backend.worker.guidance.lazy_latents import Calculate
from backend.worker.models.codec import DecodeLatent, EncodePicture
from backend.worker.pixels.face_restoration import FindFaces, RestoreFace, SwapFaces
from backend.worker.pixels.upscaling import Enlarge, Expect, Inspect

Preparation = (LoadNetworks | GuideWork | EncodeText | EncodePicture | UseModel | Shared | Expect | Inspect | FindFaces
               | RestoreFace | SwapFaces)
"""What a picture needs once, before or between its calls."""

ORDER = (Preparation, Calculate, DecodeLatent, Enlarge | list)
"""The earlier a kind stands here, the sooner it is done: a picture that is prepared joins the next call, sums that
samplers have put off are what a call is made for, and a picture that is decoded is seen and leaves the memory.
Tiles and calls, which take longest, have the same rank, so that pictures which are enlarged and drawn take turns."""


def asking_next(programs: Sequence[Program]) -> list[Program]:
    """The first of those whose work comes before that of all others, and behind it all that ask for the same kind.

    `programs`: by how long they have waited, the longest first.
    """
    if not programs:
        return []
    first = min(programs, key=_rank)
    return [first, *(each for each in programs if each is not first and type(each.work) is type(first.work))]


def _rank(program: Program) -> int:
    return next(rank for rank, kinds in enumerate(ORDER) if isinstance(program.work, kinds))
