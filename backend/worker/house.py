"""The tables of a worker process: those that both processes read, and what works on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from backend.house import House
from backend.table import Table
from backend.worker.adapters.kinds import ADAPTERS, AdapterKind
from backend.worker.guidance.hook_table import HOOKS, HookRow


@dataclass(frozen=True, slots=True)
class WorkerHouse(House):
    """See `backend.house`."""

    DOORS: ClassVar[tuple[str, ...]] = (*House.DOORS, "worker")

    hooks: Table[HookRow] = HOOKS
    adapters: Table[AdapterKind] = ADAPTERS
