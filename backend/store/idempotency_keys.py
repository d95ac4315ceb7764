"""Idempotency keys: a request that is sent again under its key queues no second job or plot. Kept over a restart."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select

from backend.errors import InvalidRequest
from backend.store.database import Database
from backend.store.tables import IdempotencyKeyRow, JobRow, now

KEY_FIELD = "Idempotency-Key"
KEPT = timedelta(days=1)
LOCKS = 64


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """What a client calls a request, and the hash of what the request says."""

    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key that was used: for what, the job that came of it, and the plot that this is the first cell of."""

    digest: str
    job: str
    plot: str = ""

    def check(self, used: IdempotencyKey) -> None:
        """InvalidRequest where the key stands for another request."""
        if self.digest != used.digest:
            raise InvalidRequest("was used for another request; each request needs a key of its own", field=KEY_FIELD)


class IdempotencyKeys:
    """Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._locks = [threading.Lock() for _ in range(LOCKS)]

    @contextmanager
    def using(self, key: str, owner: str) -> Iterator[KnownKey | None]:
        """What the key was used for before. Inside, nobody else uses it: a job queued there is the only one."""
        with self._locks[hash((owner, key)) % LOCKS]:
            yield self._find(key, owner)

    def _find(self, key: str, owner: str) -> KnownKey | None:
        with self._database.write() as session:
            session.execute(delete(IdempotencyKeyRow).where(IdempotencyKeyRow.created < now() - KEPT))
            row = session.get(IdempotencyKeyRow, (owner, key))
            if row is None:
                return None
            plot = session.scalar(select(JobRow.plot).where(JobRow.id == row.job))
            return KnownKey(row.digest, row.job, plot or "")


def idempotency_row(job: str, owner: str, used: IdempotencyKey) -> IdempotencyKeyRow:
    """The row that says that this key has queued this job."""
    return IdempotencyKeyRow(owner=owner, key=used.key, digest=used.digest, job=job)
