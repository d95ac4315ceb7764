"""Distances between two sets of pictures (FID): what was asked for in a plot, and what came out; kept in its row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from sqlalchemy.orm import Session

from backend.errors import NotFound
from backend.store.database import Database
from backend.store.history import new_id
from backend.store.picture_files import lies_below
from backend.store.plot_reading import plot_row
from backend.store.tables import PlotRow
from backend.store.wanted_scores import PlotPicture, pending_cells, pictures_of

Side = Mapping[str, Any]        # {"cells": coordinates} of the plot, or {"folder": a name below `DATASETS`}
KEPT = 50                       # of a plot; the oldest are forgotten
DATASETS = "datasets"           # the folder beside the outputs whose folders of pictures can be compared with
FILES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True, slots=True)
class Distance:
    """One comparison; neither value nor problem while it waits."""

    first: Side
    second: Side
    id: str = field(default_factory=new_id)
    value: float | None = None
    problem: str = ""

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Self:
        return cls(**{name: told[name] for name in cls.__slots__ if name in told})

    def waits_for_nothing(self, pending: Set[str]) -> bool:
        """Whether it is still to be measured, and can be: none of its cells is among those that are not drawn yet."""
        cells = {*self.first.get("cells", ()), *self.second.get("cells", ())}
        return self.value is None and not self.problem and not cells & pending

    def written(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class ToCompare:
    """What a worker is to be asked, as `ToMeasure` is for single pictures."""

    plot: str
    owner: str
    distance: Distance
    first: Sequence[PlotPicture] | str            # pictures, or a folder
    second: Sequence[PlotPicture] | str
    kinds: tuple[str, ...] = ("fid",)
    pictures: tuple[PlotPicture, ...] = ()

    @property
    def task(self) -> str:
        return f"distance {self.distance.id}"


class Distances:
    """Methods with an owner raise NotFound for someone else's plot. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, plot: str, owner: str, wanted: Distance) -> None:
        with self._database.write() as session:
            row = plot_row(session, plot, owner)
            _write(row, [*_read(row), wanted][-KEPT:])

    def of(self, plot: str, owner: str) -> list[Distance]:
        """The oldest first."""
        with self._database.read() as session:
            return list(_read(plot_row(session, plot, owner)))

    def waiting(self, plot: str) -> ToCompare | None:
        """The first that is still to be measured, and whose cells are drawn."""
        with self._database.read() as session:
            row = session.get(PlotRow, plot)
            open_cells = pending_cells(session, plot)
            wanted = next((one for one in (_read(row) if row else ()) if one.waits_for_nothing(open_cells)), None)
            if row is None or wanted is None:
                return None
            first, second = (_pictures(session, plot, side) for side in (wanted.first, wanted.second))
            return ToCompare(plot, row.owner, wanted, first, second)

    def record(self, work: ToCompare, value: float | None, problem: str) -> None:
        with self._database.write() as session:
            if row := session.get(PlotRow, work.plot):
                told = replace(work.distance, value=value, problem=problem)
                _write(row, [told if one.id == told.id else one for one in _read(row)])


def datasets(outputs: Path) -> list[str]:
    """The names of the folders below `DATASETS`."""
    folder = outputs.parent / DATASETS
    return sorted(one.name for one in folder.iterdir() if one.is_dir()) if folder.is_dir() else []


def dataset(outputs: Path, name: str) -> list[Path]:
    """The picture files of a folder below `DATASETS`, by name. Raises NotFound saying where folders are looked for."""
    folder = outputs.parent / DATASETS / name
    if not name or not lies_below(name) or not folder.is_dir():
        raise NotFound(f"There is no such folder below the data folder's {DATASETS}.")
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in FILES and file.is_file())


def _pictures(session: Session, plot: str, side: Side) -> Sequence[PlotPicture] | str:
    cells = side.get("cells")
    return str(side.get("folder", "")) if cells is None else pictures_of(session, plot, cells)


def _read(row: PlotRow) -> Iterator[Distance]:
    yield from (Distance.read(told) for told in row.scores.get("distances", ()))


def _write(row: PlotRow, distances: Sequence[Distance]) -> None:
    row.scores = row.scores | {"distances": [one.written() for one in distances]}
