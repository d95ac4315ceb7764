"""How much memory a VAE needs for a picture, and how many pictures it may take at once.

The peak lies where the picture has its full size. The constants were measured with Stable Diffusion's VAE and the demo
model's on a CPU: bytes per pixel, per channel of the narrowest stage, per byte of the number format.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from backend.worker.device import free_bytes

Direction = Literal["encode", "decode"]

BYTES: dict[Direction, float] = {"encode": 6.0, "decode": 8.0}
CARD_SHARE = 0.8            # of the memory that is free
RAM_SHARE = 0.6
INDEX_LIMIT = 2**31         # numbers in one tensor that all convolution kernels can count


def fitting(vae: nn.Module, direction: Direction, size: tuple[int, int]) -> int:
    """How many pictures of `size` (height, width) in pixels fit into memory at once; 0 when not even one does."""
    if size[0] * size[1] * _widest(vae) >= INDEX_LIMIT:
        return 0
    return int(_room(vae.device) // needed(vae, direction, size))


def needed(vae: nn.Module, direction: Direction, size: tuple[int, int]) -> int:
    """Bytes that one picture takes at the peak, beside the network itself."""
    return int(size[0] * size[1] * vae.config.block_out_channels[0] * vae.dtype.itemsize * BYTES[direction])


def _widest(vae: nn.Module) -> int:
    """Channels of the widest tensor of the picture's full size."""
    return max(vae.config.block_out_channels[:2])


def _room(device: torch.device) -> int:
    """Bytes that may be taken now."""
    return int(free_bytes(device) * (CARD_SHARE if device.type == "cuda" else RAM_SHARE))
