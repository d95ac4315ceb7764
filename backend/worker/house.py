"""The tables of a worker process: those that both processes read, and what works on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from backend.extensions.blame import at_fault
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

    def switch_off_at_fault(self, extensions: Sequence[str], error: BaseException) -> str:
        """Draw on without that one of these packages whose code has raised an error; its name, or ""."""
        if package := at_fault(error, extensions):
            self.hooks.switch_off(package)
        return package
