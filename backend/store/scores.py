"""Scores of plots' pictures: which are switched on, which are still to be measured, and the values.

What waits is not written down anywhere: it is what is wanted and not there, so no crash can lose or repeat it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from backend.store.database import Database
from backend.store.history import stored_request
from backend.store.plot_reading import plot_row
from backend.store.tables import ImageRow, JobRow, PlotRow, ScoreRow
from backend.store.wanted_scores import SEEING, Key, PlotPicture, Scoreboard, Wanted, row_of, scoreboard, wanted_of


@dataclass(frozen=True, slots=True)
class ToMeasure:
    """One picture, or for "spread" a row of them, and what is to be told of it."""

    plot: str
    owner: str
    pictures: tuple[PlotPicture, ...]
    kinds: tuple[str, ...]
    keys: tuple[Key, ...]
    reference: PlotPicture | None = None
    encoder: str = ""
    prompt: str = ""
    steps: int = 1

    @property
    def task(self) -> str:
        """The same for the same work."""
        return f"{self.pictures[0].id} {' '.join(self.kinds)}"


class Scores:
    """Methods with an owner raise NotFound for someone else's plot. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def switch(self, plot: str, owner: str, wanted: Wanted) -> None:
        """Measure these from now on, also in pictures that are there. What could not be measured is tried again."""
        with self._database.write() as session:
            row = plot_row(session, plot, owner)
            row.scores = row.scores | {"kinds": list(wanted.kinds), "reference": dict(wanted.reference),
                                       "encoder": wanted.encoder}
            pictures = select(ImageRow.id).join(JobRow, JobRow.id == ImageRow.job).where(JobRow.plot == plot)
            session.execute(delete(ScoreRow).where(ScoreRow.picture.in_(pictures), ScoreRow.problem != ""))

    def wanted(self, plot: str, owner: str) -> Wanted:
        """What is switched on."""
        with self._database.read() as session:
            return wanted_of(plot_row(session, plot, owner))

    def see_through(self, plot: str, encoder: str) -> None:
        """The CLIP's file is another one now: everything that it saw is measured again."""
        with self._database.write() as session:
            if row := session.get(PlotRow, plot):
                row.scores = row.scores | {"encoder": encoder}

    def plots(self) -> list[str]:
        """Those for which something is switched on, the newest first."""
        query = select(PlotRow.id, PlotRow.scores).order_by(PlotRow.sort_moment.desc())
        with self._database.read() as session:
            return [plot for plot, wanted in session.execute(query) if wanted.get("kinds") or wanted.get("distances")]

    def board(self, plot: str, owner: str, cells: Collection[str] | None = None) -> Scoreboard | None:
        """What is known now, of all cells or of these; None where nothing is switched on."""
        with self._database.read() as session:
            row = plot_row(session, plot, owner)
            wanted = wanted_of(row)
            return scoreboard(session, row, wanted, cells) if wanted.kinds else None

    def missing(self, plot: str, limit: int) -> list[ToMeasure]:
        """Up to `limit` of what can be measured now and is not there."""
        with self._database.read() as session:
            row = session.get(PlotRow, plot)
            wanted = wanted_of(row) if row else Wanted()
            if row is None or not wanted.kinds:
                return []
            board = scoreboard(session, row, wanted)
            works = list(_works(row, board, limit))
            return [_with_prompt(session, work) for work in works]

    def record(self, work: ToMeasure, values: Mapping[str, float], problems: Mapping[str, str]) -> None:
        """Keep what was told; of a kind of which nothing was told, that it cannot be measured."""
        with self._database.write() as session:
            there = set(session.scalars(select(ImageRow.id).where(ImageRow.id.in_({key[0] for key in work.keys}))))
            for picture, content, kind, reference, encoder in work.keys:
                value, problem = values.get(kind), problems.get(kind, "")
                row = {"picture": picture, "kind": kind, "reference": reference, "encoder": encoder,
                       "content": content, "value": value, "problem": problem}
                if picture in there and (value is not None or problem):
                    session.merge(ScoreRow(**row))


def _works(plot: PlotRow, board: Scoreboard, limit: int) -> list[ToMeasure]:
    """Picture by picture, what needs a CLIP apart; a row's spread once, for all its pictures."""
    works: list[ToMeasure] = []
    rows: set[str] = set()
    for picture in board.pictures:
        missing = board.missing(picture)
        seen = tuple(kind for kind in missing if kind in SEEING and kind != "spread")
        plain = tuple(kind for kind in missing if kind not in SEEING)
        works += [_work(plot, board, [picture], kinds) for kinds in (plain, seen) if kinds]
        if "spread" in missing and (row := row_of(picture.cell, board.seed_axes)) not in rows:
            rows.add(row)
            works.append(_work(plot, board, board.rows[row], ("spread",)))
        if len(works) >= limit:
            break
    return works[:limit]


def _work(plot: PlotRow, board: Scoreboard, pictures: Sequence[PlotPicture], kinds: tuple[str, ...]) -> ToMeasure:
    keys = (board.key(picture, kind) for picture in pictures for kind in kinds)
    return ToMeasure(plot=plot.id, owner=plot.owner, pictures=tuple(pictures), kinds=kinds,
                     keys=tuple(key for key in keys if key), reference=board.reference, encoder=board.encoder)


def _with_prompt(session: Session, work: ToMeasure) -> ToMeasure:
    if "clip_t" not in work.kinds:
        return work
    request = stored_request(session.scalar(select(JobRow.request).where(JobRow.id == work.pictures[0].job)))
    return replace(work, prompt=request.prompt, steps=request.steps)
