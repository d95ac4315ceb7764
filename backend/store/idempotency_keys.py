"""Idempotency keys: a request that is sent again under its key queues no second job. Kept over a restart."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete

from backend.store.database import Database
from backend.store.tables import IdempotencyKeyRow, now

KEPT = timedelta(days=1)
LOCKS = 64


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """What a client calls a request, and the hash of what the request says."""

    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key that was used: for what, and the job that came of it."""

    digest: str
    job: str


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
            return KnownKey(row.digest, row.job) if row else None


def idempotency_row(job: str, owner: str, used: IdempotencyKey) -> IdempotencyKeyRow:
    """The row that says that this key has queued this job."""
    return IdempotencyKeyRow(owner=owner, key=used.key, digest=used.digest, job=job)
