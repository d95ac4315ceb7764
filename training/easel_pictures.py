"""Pictures drawn by Easel's own engine, for what is measured as people will see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image

from backend.catalog.model_file import CHECKPOINT, FileKey, ModelFile
from backend.messages import Event, Failed, Picture, Run
from backend.request.request import Request
from backend.worker.engine.engine import Engine
from backend.worker.models.memory import Memory

from .data import PICTURE
from .measure import Question

ORDINARY = Request(
    width=PICTURE, height=PICTURE, steps=20, cfg_scale=5.0, sampler="DPM++ 2M", schedule="Karras", preview_every=0
)


def request(question: Question, more_words: str = "") -> Request:
    prompt = f"{question.caption} {more_words}".strip()
    return ORDINARY.replace(prompt=prompt, seed=question.seed, variation_seed=question.seed)


@torch.inference_mode()
def drawn(
    memory: Memory, folder: Path, requests: Sequence[Request], networks: Mapping[FileKey, ModelFile] | None = None,
    given: Mapping[str, bytes] | None = None,
) -> list[Image.Image]:
    """One picture per request, in their order; `networks` are the files that they name, `given` PNG files by id.

    Raises RuntimeError when one fails.
    """
    checkpoint = ModelFile(CHECKPOINT, "measured", str(folder), family="sd1", single_file=False, sha256="0" * 64)
    events: list[Event] = []
    engine = Engine(memory, "packed", events.append)
    for number, one in enumerate(requests):
        files = {(CHECKPOINT, one.checkpoint): checkpoint, **(networks or {})}
        engine.add(Run(str(number), "local", one, (0,), files, dict(given or {})))
    while engine.step():
        continue
    failed = [event for event in events if isinstance(event, Failed)]
    if failed:
        raise RuntimeError(failed[0].detail)
    pictures = sorted((event for event in events if isinstance(event, Picture)), key=lambda event: int(event.job))
    return [Image.frombytes("RGB", (picture.width, picture.height), picture.pixels) for picture in pictures]
