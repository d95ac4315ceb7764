"""The front processes that share a database: which of them live, and which are gone with jobs in their hands."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import delete, select, update

from backend.errors import EaselError
from backend.store.database import Database
from backend.store.tables import FrontRow, JobRow

GONE_SECONDS = 10.0     # a front whose beat stands still for so long, while this one can look, is gone
UNKNOWN = -1            # in the place of a beat: jobs are leased to it, and it has no row


class Fronts:
    """This front among the others. Not thread-safe.

    No clock of another machine is believed: what counts is how long this front has seen a beat stand still. While the
    database cannot be reached nobody can beat, so that time does not count.
    """

    def __init__(self, database: Database, address: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._address, self._clock = database, address, clock
        self._seen: dict[str, tuple[int, float]] = {}       # front -> its beat, and since when it is that

    def beat(self) -> tuple[int, list[str]]:
        """Tell that this front lives; how many others do, and the ids of those that are gone. StorageError."""
        try:
            beats = self._beats()
        except EaselError:
            self._seen.clear()
            raise
        now = self._clock()
        for front, beat in beats.items():
            if self._seen.get(front, (None, 0.0))[0] != beat:
                self._seen[front] = beat, now
        self._seen = {front: seen for front, seen in self._seen.items() if front in beats}
        gone = [front for front, (_, since) in self._seen.items() if now - since >= GONE_SECONDS]
        return len(beats.keys() - set(gone)), gone

    def leave(self, front: str) -> None:
        """The front works on this database no more. StorageError."""
        self._seen.pop(front, None)
        with self._database.write() as session:
            session.execute(delete(FrontRow).where(FrontRow.id == front))

    def _beats(self) -> dict[str, int]:
        """Of the others, after this one's own."""
        me = self._database.front
        with self._database.write() as session:
            beats = update(FrontRow).where(FrontRow.id == me).values(beat=FrontRow.beat + 1)
            if not session.execute(beats).rowcount:
                session.add(FrontRow(id=me, address=self._address))
            leases = session.scalars(select(JobRow.lease).where(JobRow.lease.is_not(None)))
            found = {lease.partition(".")[0]: UNKNOWN for lease in leases}
            found |= dict(map(tuple, session.execute(select(FrontRow.id, FrontRow.beat))))
        found.pop(me, None)
        return found
