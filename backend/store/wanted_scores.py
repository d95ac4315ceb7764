"""Which scores of a plot's pictures are wanted, under which key each is kept, and what is there of them.

A value holds for one content of a picture, compared with one content of the reference, seen through one CLIP. It is
kept under all of these, so a picture that is drawn again, or another reference, makes a new wish and nothing is stale.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.store.tables import ImageRow, JobRow, PlotRow, ScoreRow

KINDS = ("clip_t", "clip_i", "ssim", "psnr", "sharpness", "spread")
COMPARING = ("clip_i", "ssim", "psnr")          # with the reference
SEEING = ("clip_t", "clip_i", "spread")         # through a CLIP
SEED_AXES = ("Seed", "Var. seed")               # along which a spread is measured
PENDING = ("queued", "running")


@dataclass(frozen=True, slots=True)
class PlotPicture:
    """A picture of a plot: where its file lies, and what tells one content of it from another."""

    id: str
    cell: str
    job: str
    path: str
    content: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What was measured: a value, or the reason why there is none."""

    value: float | None
    problem: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is switched on for a plot. `reference` is {"cell": coordinates}, {"image": id} or empty.

    `encoder` names a CLIP and the state of its file; "" where no kind needs one.
    """

    kinds: tuple[str, ...] = ()
    reference: Mapping[str, str] = field(default_factory=dict)
    encoder: str = ""


def wanted_of(plot: PlotRow) -> Wanted:
    """As a plot's row has it; nothing where nothing was ever switched on."""
    kinds, reference, encoder = (plot.scores.get(name) for name in ("kinds", "reference", "encoder"))
    return Wanted(tuple(kind for kind in KINDS if kind in (kinds or ())), reference or {}, encoder or "")


Key = tuple[str, str, str, str, str]        # id and content of a picture, kind, reference, encoder


@dataclass(frozen=True, slots=True)
class Scoreboard:
    """A plot's pictures, or those of some of its cells, what is wanted of them, and what is there.

    `rows` are the pictures that differ in nothing but their seed, by `row_of`, and `row_contents` tell one state of a
    row from another; a row that is not all drawn yet, or of which no spread is wanted, has none.
    """

    kinds: Sequence[str]
    encoder: str
    reference: PlotPicture | None
    pictures: Sequence[PlotPicture]
    rows: Mapping[str, Sequence[PlotPicture]]
    row_contents: Mapping[str, str]
    kept: Mapping[Key, Kept]
    seed_axes: frozenset[int]

    def key(self, picture: PlotPicture, kind: str) -> Key | None:
        """Under which a score is kept; None where it cannot be told yet, for lack of the reference or of a row."""
        encoder, reference = self.encoder if kind in SEEING else "", ""
        if kind in COMPARING:
            if self.reference is None:
                return None
            reference = self.reference.content
        if kind == "spread":
            content = self.row_contents.get(row_of(picture.cell, self.seed_axes))
            if content is None:
                return None
            reference = content
        return picture.id, picture.content, kind, reference, encoder

    def missing(self, picture: PlotPicture) -> list[str]:
        """The kinds that can be measured and are not there."""
        keys = {kind: self.key(picture, kind) for kind in self.kinds}
        return [kind for kind, key in keys.items() if key and key not in self.kept]

    def values(self) -> dict[str, dict[str, float | None]]:
        """By cell and kind, the mean over the cell's pictures; None where none could be measured."""
        found: dict[str, dict[str, list[Kept]]] = defaultdict(lambda: defaultdict(list))
        for picture, kind, kept in self._measured():
            found[picture.cell][kind].append(kept)
        return {cell: {kind: _mean(all_kept) for kind, all_kept in kinds.items()} for cell, kinds in found.items()}

    def problems(self) -> dict[str, dict[str, str]]:
        """By cell and kind, why there is no value."""
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for picture, kind, kept in self._measured():
            if kept.problem:
                found[picture.cell][kind] = kept.problem
        return found

    def _measured(self) -> Iterator[tuple[PlotPicture, str, Kept]]:
        for picture in self.pictures:
            for kind in self.kinds:
                key = self.key(picture, kind)
                if key and key in self.kept:
                    yield picture, kind, self.kept[key]


def scoreboard(
    session: Session, plot: PlotRow, wanted: Wanted, cells: Collection[str] | None = None
) -> Scoreboard:
    """What is known of a plot's scores now, or of those of some of its cells."""
    seeds = frozenset(number for number, axis in enumerate(plot.axes)
                      if isinstance(axis, dict) and axis.get("label") in SEED_AXES)
    pictures = pictures_of(session, plot.id)
    rows: dict[str, list[PlotPicture]] = defaultdict(list)
    for picture in pictures:
        rows[row_of(picture.cell, seeds)].append(picture)
    pending = {row_of(cell, seeds) for cell in pending_cells(session, plot.id)}
    told = {row: row_content(all_of_it) for row, all_of_it in rows.items() if row not in pending}
    return Scoreboard(
        kinds=wanted.kinds, encoder=wanted.encoder,
        reference=_reference(session, plot, wanted.reference), rows=rows, seed_axes=seeds,
        pictures=[picture for picture in pictures if cells is None or picture.cell in cells],
        row_contents=told if "spread" in wanted.kinds else {}, kept=_kept(session, plot.id, cells))


def pictures_of(session: Session, plot: str, cells: Collection[str] | None = None) -> list[PlotPicture]:
    """The finished pictures of a plot, or of these cells of it."""
    condition = JobRow.plot == plot if cells is None else (JobRow.plot == plot) & JobRow.cell.in_(cells)
    return [PlotPicture(*row) for row in session.execute(_pictures(condition))]


def pending_cells(session: Session, plot: str) -> set[str]:
    """Those that wait or are drawn."""
    return set(session.scalars(select(JobRow.cell).where(JobRow.plot == plot, JobRow.state.in_(PENDING))))


def row_of(cell: str, seed_axes: frozenset[int]) -> str:
    """Cells of one row differ along the seeds only."""
    return ",".join("*" if number in seed_axes else index for number, index in enumerate(cell.split(",")))


def row_content(pictures: Sequence[PlotPicture]) -> str:
    """Tells one set of contents from another."""
    return hashlib.sha256(" ".join(sorted(picture.content for picture in pictures)).encode()).hexdigest()


def _pictures(condition: Any) -> Any:
    """Finished ones that are shown, in the order of their cells."""
    content = func.coalesce(func.nullif(ImageRow.digest, ""), ImageRow.id)      # old rows have no digest
    columns = (ImageRow.id, JobRow.cell, JobRow.id, ImageRow.path, content)
    query = select(*columns).join(JobRow, JobRow.id == ImageRow.job).where(condition)
    shown = (ImageRow.index >= 0, ~ImageRow.deleted, ~ImageRow.unfinished, ImageRow.binned.is_(None))
    return query.where(*shown).order_by(JobRow.place, ImageRow.index)


def _reference(session: Session, plot: PlotRow, told: Mapping[str, Any]) -> PlotPicture | None:
    """The picture of a cell of the plot, or any one of the owner's; None where there is none (yet)."""
    if cell := told.get("cell"):
        condition = (JobRow.plot == plot.id) & (JobRow.cell == cell)
    else:
        condition = (ImageRow.id == told.get("image", "")) & (ImageRow.owner == plot.owner)
    row = session.execute(_pictures(condition).limit(1)).first()
    return PlotPicture(*row) if row else None


def _kept(session: Session, plot: str, cells: Collection[str] | None) -> dict[Key, Kept]:
    columns = (ScoreRow.picture, ScoreRow.content, ScoreRow.kind, ScoreRow.reference, ScoreRow.encoder)
    query = select(*columns, ScoreRow.value, ScoreRow.problem).join(ImageRow, ImageRow.id == ScoreRow.picture)
    query = query.join(JobRow, JobRow.id == ImageRow.job).where(JobRow.plot == plot)
    if cells is not None:
        query = query.where(JobRow.cell.in_(cells))
    return {tuple(row[:5]): Kept(row[5], row[6]) for row in session.execute(query)}


def _mean(kept: Sequence[Kept]) -> float | None:
    values = [each.value for each in kept if each.value is not None]
    return sum(values) / len(values) if values else None
