"""What a picture asks of the engine while it is drawn, and where it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from backend.worker.adapters.ip_adapter import IPAdapter
from backend.worker.adapters.style_adapter import StyleAdapter
from backend.worker.adapters.t2i_adapter import T2IAdapter
from backend.worker.draw.guide_hint import Annotate
from backend.worker.guidance.lazy_latents import Calculate
from backend.worker.guidance.row import Row
from backend.worker.models.codec import DecodeLatent, EncodePicture
from backend.worker.models.encoded_text import TextChange, TextSettings
from backend.worker.models.model_base import Model
from backend.worker.pixels.face_restoration import FindFaces, RestoreFace, SwapFaces
from backend.worker.pixels.object_detection import FindObjects
from backend.worker.pixels.upscaling import Enlarge, Expect, Inspect


@dataclass(frozen=True, slots=True)
class LoadNetworks:
    """Load the files that a prompt names, as (kind, name), for a model. Answered by `PromptNetworks`."""

    model: Model
    names: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class LoadGuide:
    """Load the model of a guide, number `unit` of the request, for a model. Answered by its adapter.

    None where it cannot guide that one, which is another checkpoint than the job's own; the picture's notes tell it.
    """

    model: Model
    name: str
    unit: int


@dataclass(frozen=True, slots=True)
class LeaveGuide:
    """The picture needs the model of a guide, loaded for a model, no more: it leaves the device. Answered by None."""

    model: Model
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class ShowPicture:
    """Show an adapter the pictures of `unit`, number `number` of the request: ids of the job's, or pixels (h, w, 3).

    Answered by a `PicturePrompt`, by a style adapter with the vectors of the style.
    """

    network: IPAdapter | StyleAdapter
    pictures: Sequence[str | np.ndarray]
    unit: Mapping[str, Any]
    number: int


@dataclass(frozen=True, slots=True, eq=False)
class ShowHint:
    """Show a T2I-Adapter, which unit number `unit` names, a hint (3, H, W) in 0..1; equal `key`s mean equal hints.

    Answered by its features.
    """

    network: T2IAdapter
    name: str
    hint: Tensor
    key: Hashable
    unit: int


@dataclass(frozen=True, slots=True)
class EncodeText:
    """Encode these texts for a model, each as its settings say, by encoders that may be changed for it.

    Answered by one `Encoded` each.
    """

    model: Model
    texts: Sequence[tuple[str, TextSettings, TextChange | None]]


@dataclass(frozen=True, slots=True)
class UseModel:
    """Go on with this checkpoint of the job: from now on it encodes and decodes. Answered by its `Model`."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """A result that other cells of the plot may need, too; under an equal `key` it is made once.

    Answered by `Made` when another cell has made it, else by the function to hand it to once this picture has made it.
    `calls`: how often making it asks the denoiser.
    """

    key: Hashable
    calls: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A result that was made before; it knows its `nbytes`."""

    result: Any


Keep = Callable[[Any], None]
"""Takes a result that was made just now, for the others."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A picture of the job, uint8 (H, W, 3), that others are still made from. Answered by None."""

    pixels: np.ndarray


Work = (LoadNetworks | LoadGuide | LeaveGuide | Annotate | ShowPicture | ShowHint | EncodeText | UseModel
        | Shared | EncodePicture | DecodeLatent | Finished | Inspect | Expect | Enlarge | FindFaces | RestoreFace
        | SwapFaces | FindObjects | Calculate | list[Row])
"""Those of other rooms are told there. Rows are answered by one `Answer` each, in order."""

Drawing = Generator[Work, Any, np.ndarray]
"""Returns the last picture, RGB pixels, uint8 (H, W, 3)."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where a picture is drawn: by which model, with which latent shape (C, h, w).

    `tiling`: opposite edges are neighbours.
    """

    model: Model
    shape: tuple[int, int, int]
    tiling: bool = False

    @property
    def cell(self) -> int:
        """Pixels per latent cell, in each direction."""
        return self.model.latent_scale

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.shape[1] * self.cell, self.shape[2] * self.cell
