"""Hires fix: how large the second pass is, and how the first pass's latent gets there (AUTOMATIC1111 1.10)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.nn.functional import interpolate

from backend.request.request import Request

# Label -> mode and antialias of torch's interpolate.
LATENT_MODES: dict[str, tuple[str, bool]] = {
    "Latent": ("bilinear", False),
    "Latent (antialiased)": ("bilinear", True),
    "Latent (bicubic)": ("bicubic", False),
    "Latent (bicubic antialiased)": ("bicubic", True),
    "Latent (nearest)": ("nearest", False),
    "Latent (nearest-exact)": ("nearest-exact", False),
}


@dataclass(frozen=True, slots=True)
class Target:
    """`width` x `height` pixels to scale to, of which `cut_x` and `cut_y` latent cells are cut off afterwards.

    `cell`: pixels per latent cell.
    """

    width: int
    height: int
    cell: int
    cut_x: int = 0
    cut_y: int = 0

    @classmethod
    def of(cls, request: Request, cell: int) -> Target:
        """By factor; or to a size, of which one side may be 0; two sides of other proportions cut what stands over."""
        x, y = request.hr_resize_x, request.hr_resize_y
        width, height = request.width, request.height
        if not x and not y:
            return cls(int(width * request.hr_scale), int(height * request.hr_scale), cell)
        if not y:
            return cls(x, x * height // width, cell)
        if not x:
            return cls(y * width // height, y, cell)
        if width / height < x / y:
            scaled = x, x * height // width
        else:
            scaled = y * width // height, y
        return cls(*scaled, cell, (scaled[0] - x) // cell, (scaled[1] - y) // cell)

    def latent(self, latent: Tensor, upscaler: str) -> Tensor:
        """The latent (C, h, w) scaled by one of LATENT_MODES and cut."""
        mode, antialias = LATENT_MODES[upscaler]
        size = (self.height // self.cell, self.width // self.cell)
        scaled = interpolate(latent[None], size=size, mode=mode, antialias=antialias)[0]
        (top, bottom), (left, right) = _kept(size[0], self.cut_y), _kept(size[1], self.cut_x)
        return scaled[:, top:bottom, left:right]

    @property
    def whole(self) -> tuple[int, int]:
        """Width and height in whole cells, in pixels, before anything is cut."""
        return self.width // self.cell * self.cell, self.height // self.cell * self.cell

    def cut(self, pixels: np.ndarray) -> np.ndarray:
        """Scaled pixels (H, W, 3) without what stands over, in whole cells."""
        cell, (height, width) = self.cell, pixels.shape[:2]
        (top, bottom), (left, right) = _kept(height // cell, self.cut_y), _kept(width // cell, self.cut_x)
        return pixels[top * cell : bottom * cell, left * cell : right * cell]


def _kept(cells: int, cut: int) -> tuple[int, int]:
    """First cell and end of what is kept when `cut` cells go, half of them at each side."""
    return cut // 2, cells - (cut + 1) // 2
