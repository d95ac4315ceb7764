"""How much of the device's memory is in use, as signs of life tell it; looked up by the engine's thread.

A driver may keep whoever asks it waiting while a call runs, which would delay a sign of life.
"""

from __future__ import annotations

import time

import torch

from backend.messages import ALIVE_SECONDS
from backend.worker.device import memory_in_use


class MemoryWatch:
    """One value, replaced as a whole."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.latest, self._moment = memory_in_use(device), time.monotonic()

    def look(self, *, resting: bool) -> None:
        """Between two calls: once in `ALIVE_SECONDS`, and whenever the engine comes to rest."""
        if resting or time.monotonic() - self._moment >= ALIVE_SECONDS:
            self.latest, self._moment = memory_in_use(self._device), time.monotonic()
