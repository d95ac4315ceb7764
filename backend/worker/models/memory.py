"""The only owner of loaded networks."""

from __future__ import annotations

import gc
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import psutil
import torch

from backend.catalog.fingerprints import Fingerprint, fingerprint
from backend.messages import Checkpoint, UpscalerFile
from backend.worker.device import Placement
from backend.worker.models.base import Model
from backend.worker.models.loader import load

log = logging.getLogger(__name__)

RAM_SHARE = 0.5         # of the machine's memory, for networks
CARD_SHARE = 0.6        # of the card's free memory at the start, for networks; the rest is for activations

UPSCALER_BYTES = 1 << 30        # for upscalers, beside the checkpoints' budget; the one in use always stays


class Tool(Protocol):
    """A network that works on pixels."""

    file: UpscalerFile
    bytes: int


@dataclass(slots=True)
class _Held:
    model: Model
    mark: Fingerprint | None
    bytes: int


class Memory:
    """Loaded checkpoints within a byte budget, the least recently used one leaving first.

    `budget_bytes` bounds what lies on the placement's device; on a graphics card, idle checkpoints are moved to main
    memory (at most half of it) before they are dropped. The checkpoint asked for last always stays. For one thread.
    """

    def __init__(
        self,
        placement: Placement,
        budget_bytes: int | None = None,
        load: Callable[[Checkpoint, Placement], Model] = load,
    ) -> None:
        self.placement = placement
        self.budget_bytes = _budget(placement) if budget_bytes is None else budget_bytes
        self._load = load
        self._held: OrderedDict[str, _Held] = OrderedDict()     # by checkpoint key, the latest last
        self.upscalers = Upscalers(placement)

    def get(self, checkpoint: Checkpoint) -> Model:
        """The checkpoint in memory, on the device, read from its file if need be (again if the file has changed).

        Raises CheckpointError when the file is missing, broken or of a family Easel cannot load.
        """
        if checkpoint.key not in self or self._held[checkpoint.key].model.checkpoint.path != checkpoint.path:
            self.drop(checkpoint.key)
            mark = fingerprint(checkpoint.path)
            self._make_room(mark[0] if mark else 0)
            model = self._load(checkpoint, self.placement)
            held = _Held(model, mark, model.bytes)
        else:
            held = self._held.pop(checkpoint.key)
        self._make_room(held.bytes)
        self._held[checkpoint.key] = held
        return held.model.to(self.placement.device)

    def __contains__(self, key: str) -> bool:
        """Whether `get` would answer without reading: held, and the file has not changed since (deleted is fine)."""
        held = self._held.get(key)
        return held is not None and fingerprint(held.model.checkpoint.path) in (held.mark, None)

    @property
    def loaded(self) -> tuple[str, ...]:
        """Keys of the checkpoints in memory, the least recently used first."""
        return tuple(self._held)

    @property
    def bytes(self) -> int:
        """What all loaded networks take, wherever they are."""
        return sum(held.bytes for held in self._held.values())

    def drop(self, key: str) -> None:
        """Let go of one checkpoint; unknown keys are fine."""
        if self._held.pop(key, None):
            self.free_cache()

    def clear(self) -> None:
        """Let go of everything."""
        self._held.clear()
        self.upscalers.clear()
        self.free_cache()

    def free_cache(self) -> None:
        """Give memory that nobody uses back to the system or the card."""
        gc.collect()
        if self.placement.device.type == "cuda":
            torch.cuda.empty_cache()

    def _make_room(self, coming: int) -> None:
        """Shelve or drop checkpoints, the oldest first, until `coming` more bytes fit on the device."""
        for key in self._on(self.placement.device.type):
            if self._bytes_on(self.placement.device.type) + coming <= self.budget_bytes:
                break
            if self.placement.device.type == "cpu":
                self.drop(key)
            else:
                self._shelve(key)

    def _shelve(self, key: str) -> None:
        """Move a checkpoint from the card to main memory, where older ones make room for it."""
        held = self._held[key]
        for older in self._on("cpu"):
            if self._bytes_on("cpu") + held.bytes > _ram_budget():
                self.drop(older)
        if self._bytes_on("cpu") + held.bytes > _ram_budget():
            self.drop(key)
        else:
            held.model.to(torch.device("cpu"))
            self.free_cache()

    def _on(self, kind: str) -> list[str]:
        """Keys of what lies on a kind of device, the least recently used first."""
        return [key for key, held in self._held.items() if held.model.device.type == kind]

    def _bytes_on(self, kind: str) -> int:
        return sum(self._held[key].bytes for key in self._on(kind))


class Upscalers:
    """Loaded upscalers and restorers within a small budget of their own, the least recently used one leaving first."""

    def __init__(self, placement: Placement, budget_bytes: int = UPSCALER_BYTES) -> None:
        self.placement, self.budget_bytes = placement, budget_bytes
        self._held: OrderedDict[tuple[str, Fingerprint | None], Tool] = OrderedDict()

    def get(self, file: UpscalerFile, load: Callable[[UpscalerFile, Placement], Tool]) -> Tool:
        """What the file holds, read by `load` if need be (again if the file has changed). Raises CheckpointError."""
        key = file.path, fingerprint(file.path)
        if key not in self._held:
            for known in [known for known in self._held if known[0] == file.path]:
                del self._held[known]
            self._make_room(key[1][0] if key[1] else 0)
            self._held[key] = load(file, self.placement)
        self._held.move_to_end(key)
        return self._held[key]

    @property
    def loaded(self) -> tuple[str, ...]:
        """Names of the upscalers in memory, the least recently used first."""
        return tuple(held.file.key for held in self._held.values())

    def clear(self) -> None:
        """Let go of all."""
        self._held.clear()

    def _make_room(self, coming: int) -> None:
        while self._held and sum(held.bytes for held in self._held.values()) + coming > self.budget_bytes:
            self._held.popitem(last=False)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was too short, on the card or in the machine."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("can't allocate memory" in text or "out of memory" in text)


def _budget(placement: Placement) -> int:
    if placement.device.type == "cuda":
        return int(torch.cuda.mem_get_info(placement.device)[0] * CARD_SHARE)
    return _ram_budget()


def _ram_budget() -> int:
    return int(psutil.virtual_memory().total * RAM_SHARE)
