"""The audit log: who did what to whom, from which address. Logins and the acts of admins; never a secret.

An entry stays for a stated number of days and is never changed. Names are kept as they were then.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, delete, or_, select

from backend.errors import StorageError
from backend.store.database import Database
from backend.store.tables import AuditRow, now

LONGEST = 200           # letters of a name, an address or a detail that are kept
PIECE = 500             # entries that an export reads at once
SAME_SECONDS = 60.0     # in which the same failed login from one address is one entry
REMEMBERED = 4096

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """`actor` is a name, "" for somebody who did not log in; `subject` is on whom or what."""

    number: int
    moment: datetime
    actor: str
    action: str
    subject: str
    address: str
    detail: str


class AuditLog:
    """Thread-safe."""

    def __init__(self, database: Database, days: int) -> None:
        self._database, self.days = database, days
        self._repeated: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, action: str, actor: str = "", subject: str = "", address: str = "", detail: str = "") -> None:
        """StorageError: an act that cannot be written down is not done, where the caller writes first."""
        told = {name: _plain(text) for name, text in
                (("actor", actor), ("subject", subject), ("address", address), ("detail", detail))}
        with self._database.write() as session:
            session.add(AuditRow(moment=now(), action=action, **told))

    def login(self, action: str, name: str, address: str, detail: str = "", every: float = SAME_SECONDS,
              whose: str = "") -> None:
        """A login or a failed one, by the name that was given. Repeats within so many seconds are one entry.

        `whose`: the network of the address, where all of it counts as one. A disk that is full keeps nobody out: then
        it is told in the log of the process.
        """
        with self._lock:
            key, moment = (action, name, whose or address), time.monotonic()
            if moment - self._repeated.get(key, -every) < every:
                return
            self._repeated[key] = moment
            while len(self._repeated) > REMEMBERED:
                self._repeated.popitem(last=False)
        try:
            self.add(action, name, name, address, detail)
        except StorageError as error:
            log.warning("%s of %s could not be written down: %s", action, _plain(name), error)

    def page(self, words: str = "", before: int | None = None, limit: int = 100) -> list[AuditEntry]:
        """Newest first, after the entry number `before`; each of the words has to be somewhere in an entry."""
        query = _matching(words).order_by(AuditRow.number.desc()).limit(limit)
        if before is not None:
            query = query.where(AuditRow.number < before)
        with self._database.read() as session:
            return [_entry(row) for row in session.scalars(query)]

    def lines(self, words: str = "") -> Iterator[str]:
        """The same, all of it, as JSON lines."""
        before: int | None = None
        while entries := self.page(words, before, PIECE):
            for entry in entries:
                yield json.dumps(asdict(entry) | {"moment": entry.moment.isoformat()}, ensure_ascii=False) + "\n"
            before = entries[-1].number

    def sweep(self) -> None:
        """Forget what is older than the days for which entries are kept."""
        with self._database.write() as session:
            session.execute(delete(AuditRow).where(AuditRow.moment < now() - timedelta(days=self.days)))


def _matching(words: str) -> Select[tuple[AuditRow]]:
    query = select(AuditRow)
    for word in words.split()[:10]:
        columns = (AuditRow.actor, AuditRow.action, AuditRow.subject, AuditRow.address, AuditRow.detail)
        query = query.where(or_(*(column.icontains(word, autoescape=True) for column in columns)))
    return query


def _entry(row: AuditRow) -> AuditEntry:
    return AuditEntry(number=row.number, moment=row.moment, actor=row.actor, action=row.action, subject=row.subject,
                 address=row.address, detail=row.detail)


def _plain(text: str) -> str:
    """One line of letters that can be stored and shown; a login may have sent anything for a name."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[:LONGEST])
    return shown.encode("utf-8", "replace").decode("utf-8")
