"""A picture's program driven without the engine, so that a test can compare the latent with another library's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor

from backend.request.request import Request
from backend.worker.draw.init_image import Source
from backend.worker.draw.pipeline import draw
from backend.worker.draw.plan import plan
from backend.worker.draw.work_items import EncodeText, Shared
from backend.worker.engine.program_building import canvas_of
from backend.worker.guidance.lazy_latents import Calculate, calculate
from backend.worker.guidance.preconditioning import denoise
from backend.worker.models.codec import Codec, DecodeLatent, EncodePicture
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model

Answers = Mapping[type, Callable[[Any], Any]]
NOTHING_ELSE: Answers = MappingProxyType({})


def latent_of(model: Model, request: Request, source: Source | None = None, more: Answers = NOTHING_ELSE) -> Tensor:
    """The latent that Easel would decode; `more` answers what else the program asks for, by the kind of work."""
    codec = Codec(Memory(model.placement))
    answers: dict[type, Callable[[Any], Any]] = {
        EncodeText: lambda work: [codec.text(work.model, asked) for asked in work.texts],
        EncodePicture: lambda work: model.encode(work.pixels[None])[0],
        Shared: lambda work: lambda first_pass: None,       # nobody else wants it
        list: denoise,
        Calculate: lambda work: calculate([work])[0],
        **more,
    }
    program = draw(plan(request, model.parametrisation.table), canvas_of(request, model, source), lambda *heard: None, source)
    work = program.send(None)
    while not isinstance(work, DecodeLatent):
        work = program.send(answers[type(work)](work))
    return work.latent
