"""Emphasis, `(word:1.2)`: how the weights of words change what a text encoder says of them."""

from __future__ import annotations

from torch import Tensor


def apply_emphasis(z: Tensor, multipliers: Tensor, mode: str) -> Tensor:
    """Weigh token embeddings `z` (n, 77, C) by `multipliers` (n, 77), as AUTOMATIC1111's sd_emphasis does.

    "Original" restores each chunk's mean afterwards, "No norm" does not, "Ignore" and "None" change nothing.
    """
    if mode in ("Ignore", "None"):
        return z
    weighted = z * multipliers.unsqueeze(-1)
    if mode == "No norm":
        return weighted
    ratio = z.mean(dim=(1, 2), keepdim=True) / weighted.mean(dim=(1, 2), keepdim=True)
    return weighted * ratio.nan_to_num(nan=1, posinf=1, neginf=1)
