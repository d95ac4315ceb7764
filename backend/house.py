"""The tables of one process: filled once while it starts, by the core and by extensions, then frozen.

An extension that cannot be registered is left out as a whole, and Easel starts without it and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from backend.catalog.families import FAMILIES, Family
from backend.catalog.kinds import KINDS, Kind
from backend.extensions.manifest import name_of
from backend.extensions.registration import DOOR, registered
from backend.plots.axis import Axis
from backend.plots.axis_table import AXES
from backend.request.always_on_scripts import ALWAYS_ON, AlwaysOnScript
from backend.request.field import Field
from backend.request.request import FIELDS
from backend.sampling.sampler_row import SamplerRow
from backend.sampling.samplers import SAMPLERS
from backend.sampling.schedules import SCHEDULES, ScheduleRow
from backend.table import Table


@dataclass(frozen=True, slots=True)
class House:
    """The tables that both processes read, and those of the page and of HTTP, which stay empty in a worker."""

    DOORS: ClassVar[tuple[str, ...]] = (DOOR,)

    fields: Table[Field] = FIELDS
    samplers: Table[SamplerRow] = SAMPLERS
    schedules: Table[ScheduleRow] = SCHEDULES
    families: Table[Family] = FAMILIES
    kinds: Table[Kind] = KINDS
    axes: Table[Axis] = AXES
    scripts: Table[AlwaysOnScript] = ALWAYS_ON
    tabs: Table[Any] = field(default_factory=lambda: Table("tabs", key="NAME"))
    routers: Table[Any] = field(default_factory=lambda: Table("routers"))

    def open(
        self, extensions: Iterable[str] = (), opening: Callable[[str], None] = lambda package: None
    ) -> dict[str, str]:
        """Let these packages register, then freeze every table; why each of them that failed was left out, by name.

        `opening` is told of each before any of its code runs, and "" after it. An open house stays as it is.
        """
        if self.fields.frozen:
            return {}
        troubles = {}
        for name in extensions:
            opening(name)
            if why := self._registered(name):
                troubles[name] = why
            opening("")
        for table in self._tables():
            table.freeze()
        return troubles

    def _registered(self, package: str) -> str:
        """"" once all doors of an extension have registered; else why not, and nothing of it has stayed."""
        before = [(table, table.rows()) for table in self._tables()]
        for table in self._tables():
            table.owner = package
        why = registered(package, self.DOORS, self)
        for table, rows in before:
            table.owner = ""
            if why:
                table.restore(rows)
        return why

    def _tables(self) -> list[Table[Any]]:
        return [getattr(self, each.name) for each in fields(self)]


def sentences(troubles: Mapping[str, str]) -> tuple[str, ...]:
    """What `House.open` gave, for people."""
    names = {name_of(package): why for package, why in troubles.items()}
    return tuple(f"The extension {name} was left out: {why}." for name, why in names.items())
