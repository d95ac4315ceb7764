"""Which random numbers an image gets: the frozen description that ``noise.ImageNoise`` draws from. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Source: TypeAlias = Literal["CPU", "NV", "GPU"]
SOURCES: tuple[Source, ...] = ("CPU", "NV", "GPU")


@dataclass(frozen=True, slots=True)
class NoiseSpec:
    """The noise of one image.

    seed, subseed: whole numbers; subseed_strength in [0, 1]: share of the subseed's noise in the first draw.
    resize_from: (height, width) in pixels whose noise is pasted in the centre; (0, 0) for none.
    ensd: "eta noise seed delta"; if not 0, every draw after the first comes from seed + ensd.
    source: CPU = torch's CPU generator; NV = the numbers of a CUDA device, computed anywhere; GPU = the device's own.
    Raises ValueError for another source.
    """

    seed: int
    subseed: int = 0
    subseed_strength: float = 0.0
    resize_from: tuple[int, int] = (0, 0)
    ensd: int = 0
    source: Source = "CPU"

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise ValueError(f"randn_source: must be one of {SOURCES}, got {self.source!r}")
