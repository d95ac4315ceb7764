"""The random numbers of a CUDA device, computed with numpy: Philox 4x32-10 (Salmon et al. 2011) and Box-Muller."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_MASK = np.uint64(0xFFFFFFFF)
# The device computes with float32 constants; everything after is float64.
_UNIT = float(np.float32(2.3283064e-10))
_TURN = float(np.float32(2.3283064e-10 * 6.2831855))


def philox_rounds(counter: list[NDArray[np.uint64]], seed: int) -> list[NDArray[np.uint64]]:
    """Ten rounds over four arrays of 32-bit words (held in uint64), keyed by the low and high word of ``seed``."""
    key = [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF]
    c0, c1, c2, c3 = counter
    for _ in range(10):
        even, odd = c0 * np.uint64(_MULTIPLIERS[0]), c2 * np.uint64(_MULTIPLIERS[1])
        c0, c1, c2, c3 = (
            (odd >> np.uint64(32)) ^ c1 ^ np.uint64(key[0]),
            odd & _MASK,
            (even >> np.uint64(32)) ^ c3 ^ np.uint64(key[1]),
            even & _MASK,
        )
        key = [(word + weyl) & 0xFFFFFFFF for word, weyl in zip(key, _WEYL)]
    return [c0, c1, c2, c3]


class Philox:
    """Normal numbers as CUDA's ``torch.randn`` gives them; one counter step per draw, whatever its size."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.draws = 0

    def randn(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """The next draw: float32, unit normal, in ``shape``."""
        n = math.prod(shape)
        zeros = np.zeros(n, np.uint64)
        counter = [zeros + np.uint64(self.draws), zeros, np.arange(n, dtype=np.uint64), zeros]
        self.draws += 1
        g0, g1, _, _ = philox_rounds(counter, self.seed)
        u = g0 * _UNIT + _UNIT / 2
        v = g1 * _TURN + _TURN / 2
        return (np.sqrt(-2 * np.log(u)) * np.sin(v)).astype(np.float32).reshape(shape)
