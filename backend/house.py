"""The tables of one process: filled once while it starts, by the core and by extensions, then frozen.

An extension is a package with a manifest (see `backend.extensions.manifest`) and two doors, each a module with one
function `register(house)`:

    extension.py    fields, samplers, schedules, model kinds, families, axes of plots, tabs, routes, and the scripts of
                    AUTOMATIC1111 that its fields stand for; imports no torch; read by both processes
    worker.py       what works on the device: guidance hooks, adapters; read by the worker alone

An extension that cannot be registered is left out as a whole, and Easel starts without it and says so.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from backend.catalog.families import FAMILIES, Family
from backend.catalog.kinds import KINDS, Kind
from backend.extensions.manifest import name_of
from backend.plots.axis import Axis
from backend.plots.axis_table import AXES
from backend.request.always_on_scripts import ALWAYS_ON, AlwaysOnScript
from backend.request.field import Field
from backend.request.request import FIELDS
from backend.sampling.sampler_row import SamplerRow
from backend.sampling.samplers import SAMPLERS
from backend.sampling.schedules import SCHEDULES, ScheduleRow
from backend.table import Table

log = logging.getLogger(__name__)

DOOR = "extension"
SECONDS = 20.0          # for all doors of an extension to register; what blocks for ever keeps nobody from starting


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
        why = [f"it did not register within {SECONDS:g} seconds"]
        registering = threading.Thread(target=self._open_doors, args=(package, why), daemon=True, name=package)
        for table in self._tables():
            table.owner = package
        registering.start()
        registering.join(SECONDS)
        for table, rows in before:
            table.owner = ""
            if why[0]:
                table.restore(rows)
        return why[0]

    def _open_doors(self, package: str, why: list[str]) -> None:
        """Why it could not be done, or "", becomes the first of `why`."""
        try:
            for door in self.DOORS:
                if door == DOOR or importlib.util.find_spec(f"{package}.{door}"):
                    importlib.import_module(f"{package}.{door}").register(self)
            why[0] = ""
        except BaseException as error:  # a border: what an extension does, ending the process too, costs that extension
            log.exception("the extension %s is left out", package)
            why[0] = f"{type(error).__name__}: {error}"

    def _tables(self) -> list[Table[Any]]:
        return [getattr(self, each.name) for each in fields(self)]


def sentences(troubles: Mapping[str, str]) -> tuple[str, ...]:
    """What `House.open` gave, for people."""
    names = {name_of(package): why for package, why in troubles.items()}
    return tuple(f"The extension {name} was left out: {why}." for name, why in names.items())
