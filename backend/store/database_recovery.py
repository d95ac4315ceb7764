"""A database file that cannot serve: moved aside, never deleted, and what can be read of it is carried over."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Hashable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Table
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from backend.errors import EaselError, StorageError
from backend.request.request import FIELDS, Request
from backend.store.database import Database
from backend.store.history import stored_request
from backend.store.picture_files import account_of
from backend.store.sqlite_file import trouble
from backend.store.tables import (
    AccessTokenRow,
    AccountRow,
    AuditRow,
    Base,
    BoardPictureRow,
    BoardRow,
    BoardShareRow,
    IdempotencyKeyRow,
    ImageRow,
    InvitationRow,
    JobRow,
    JsonList,
    JsonObject,
    Moment,
    PasswordLinkRow,
    PlotRow,
    PreferenceRow,
    SessionRow,
    ShareLinkRow,
    Unsigned,
    UserLimitRow,
    UserRow,
    WebhookRow,
    kind_of,
    now,
    tolerant_json,
)
from backend.store.users import USER_ID, new_user_id
from backend.store.view_types import LOCAL, STATES, User

TABLES = ("users", "jobs", "plots", "images", "preferences", "boards", "board_pictures", "board_shares", "share_links",
          "user_limits", "audit_log", "accounts", "sessions", "access_tokens", "invitations", "password_links")
KEYED = {"webhooks": ("job",), "idempotency_keys": ("owner", "key")}       # tables without row numbers, and their keys
_BEHIND = {table: f"SELECT rowid AS easel_rowid, * FROM {table} WHERE rowid > ? ORDER BY rowid" for table in TABLES}  # noqa: S608
_BEFORE = {table: f"SELECT rowid AS easel_rowid, * FROM {table} ORDER BY rowid DESC" for table in TABLES}              # noqa: S608
MOST_LOST = 1000            # rows after one another that cannot be read, before the rest is given up

Rows = list[dict[str, Any]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescue:
    """What happened to a broken database."""

    reason: str
    broken: Path
    waiting: int        # jobs that wait again
    ended: int          # jobs of the history
    images: int
    unreadable: int     # rows that were seen and could not be carried over

    @property
    def notice(self) -> str:
        lost = f" {self.unreadable} entries could not be read." if self.unreadable else ""
        return (f"The database could not be used ({self.reason}) and was put aside as {self.broken.name}. "
                f"Carried over: {self.waiting} waiting jobs, {self.ended} finished jobs, {self.images} pictures.{lost} "
                "Other pictures in the outputs folder are taken into the history again from the settings inside them. "
                "Plots are measured again when scores are asked for; queues that were paused go on.")


def open_database(path: Path | str) -> tuple[Database, Rescue | None]:
    """The database at `path`, fresh where there was none or a broken one. StorageError when that cannot be.

    A server's, given by its URL, is its operator's to mend.
    """
    reason = "" if isinstance(path, str) else trouble(path)
    if not reason:
        return Database(path), None
    broken = _set_aside(path)
    log.error("database %s: %s; set aside as %s", path, reason, broken)
    database = Database(path)
    return database, _salvage(broken, database, reason)


def _set_aside(path: Path) -> Path:
    stamp = f"{now():%Y%m%d-%H%M%S}"
    broken = path.with_name(f"{path.name}.broken-{stamp}")
    number = 1
    while broken.exists():
        number += 1
        broken = path.with_name(f"{path.name}.broken-{stamp}-{number}")
    try:
        path.rename(broken)
        for suffix in ("-wal", "-shm"):     # the log belongs to the file: without it the last changes are missing
            beside = path.with_name(path.name + suffix)
            if beside.exists():
                beside.rename(broken.with_name(broken.name + suffix))
    except OSError as error:
        raise StorageError(f"The database {path} is broken and cannot be moved aside: {error}") from error
    return broken


def _salvage(broken: Path, database: Database, reason: str) -> Rescue:
    states: list[str] = []
    images = unreadable = 0
    found = {table: list(dict(_rows(broken, table)).values()) for table in (*TABLES, *KEYED)}
    users = _users(found)
    with database.write() as session:
        session.add_all(UserRow(id=user.id, name=user.name) for user in set(users.values()) - {LOCAL})
        for values in sorted(_owned(found["jobs"], users), key=lambda row: str(row.get("place", "")).zfill(12)):
            state = _insert(session, JobRow, values, len(states) + 1)
            states += [state] if state else []
            unreadable += not state
        for values in _owned(found["images"], users):
            done = _insert(session, ImageRow, values, images + 1)
            images, unreadable = images + bool(done), unreadable + (not done)
        others = {"plots": PlotRow, "preferences": PreferenceRow, "boards": BoardRow, "board_pictures": BoardPictureRow,
                  "board_shares": BoardShareRow, "share_links": ShareLinkRow, "user_limits": UserLimitRow,
                  "audit_log": AuditRow, "accounts": AccountRow, "sessions": SessionRow,
                  "access_tokens": AccessTokenRow, "invitations": InvitationRow, "password_links": PasswordLinkRow,
                  "webhooks": WebhookRow, "idempotency_keys": IdempotencyKeyRow}
        for table, model in others.items():
            unreadable += sum(not _insert(session, model, values, 0) for values in _owned(found[table], users))
    waiting = states.count("queued")
    return Rescue(reason=reason, broken=broken, waiting=waiting, ended=len(states) - waiting, images=images,
                  unreadable=unreadable)


def _users(found: Mapping[str, Rows]) -> dict[str, User]:
    """The user for each owner that a row names. Where an id's row is lost, the folder of its pictures tells the name.

    A database from before there were ids names owners by their accounts' names.
    """
    known = [(row.get("id"), row.get("name")) for row in found["users"]]
    users = {number: User(number, name) for number, name in known if isinstance(number, str) and isinstance(name, str)}
    by_name = {user.name: user for user in users.values()}
    rows = [row for table in found if table != "users" for row in found[table]]
    for owner in {str(row["owner"]) for row in rows if row.get("owner")} - users.keys() - {LOCAL.id}:
        is_id = USER_ID.fullmatch(owner)
        accounts = (account_of(str(row.get("path"))) for row in found["images"] if row.get("owner") == owner)
        name = next(filter(None, accounts), owner) if is_id else owner
        users[owner] = by_name.setdefault(name, User(owner if is_id else new_user_id(), name))
    return users | {LOCAL.id: LOCAL}


def _owned(rows: Rows, users: Mapping[str, User]) -> Rows:
    """The rows with the ids of their owners."""
    return [{**row, "owner": users[str(row["owner"])].id} if row.get("owner") else row for row in rows]


def _rows(broken: Path, table: str) -> Iterator[tuple[Hashable, dict[str, Any]]]:
    """Every row that can still be reached, by its number or its key: from the first on, then from the last backwards.

    Where rows have numbers, it goes on past what is damaged.
    """
    if not broken.is_file():
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{broken.as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("PRAGMA writable_schema = ON")   # else a file shorter than it says is not read at all
        connection.row_factory = sqlite3.Row
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        if table in KEYED:
            for order in ("ASC", "DESC"):
                yield from _by_key(connection, table, order)
            return
        yield from _past_damage(connection, table)
        yield from map(_numbered, connection.execute(_BEFORE[table]))


def _by_key(connection: sqlite3.Connection, table: str, order: str) -> Iterator[tuple[Hashable, dict[str, Any]]]:
    """Rows up to the first that cannot be read."""
    keys = ", ".join(f'"{key}" {order}' for key in KEYED[table])
    with suppress(sqlite3.Error):
        for row in connection.execute(f"SELECT * FROM {table} ORDER BY {keys}"):  # noqa: S608
            yield tuple(row[key] for key in KEYED[table]), dict(row)


def _past_damage(connection: sqlite3.Connection, table: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows in order; where one cannot be read, it goes on behind the next number that can."""
    number = lost = 0
    while lost < MOST_LOST:
        try:
            for row in connection.execute(_BEHIND[table], (number,)):
                yield _numbered(row)
                number, lost = row["easel_rowid"], 0
            return
        except sqlite3.Error:
            number, lost = number + 1, lost + 1


def _numbered(row: sqlite3.Row) -> tuple[int, dict[str, Any]]:
    values = dict(row)
    return values.pop("easel_rowid"), values


def _insert(session: Session, model: type[Base], values: Mapping[str, Any], number: int) -> str:
    """Carry one row over in a savepoint of its own; its state, or "" when it cannot be used."""
    try:
        with session.begin_nested():
            clean = _clean(model.__table__, values)
            if model is JobRow:
                clean |= _clean_job(clean, number)
            if model is ImageRow:
                clean["number"] = number
                job = session.get_one(JobRow, clean["job"])
                clean["kind"] = kind_of(stored_request(job.request), clean["index"])
            session.add(model(**clean))
        return clean.get("state", "image")
    except (SQLAlchemyError, EaselError, ValueError, TypeError, KeyError, OverflowError) as error:
        log.warning("a row of %s could not be carried over: %s", model.__tablename__, getattr(error, "orig", error))
        return ""


def _clean(table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """SQLite's raw values as Python's, by column; columns of other versions are left out."""
    return {column.name: _value(column.type, values[column.name]) for column in table.columns
            if values.get(column.name) is not None}


def _value(kind: TypeEngine[Any], value: Any) -> Any:
    if isinstance(kind, JsonObject | JsonList):
        read = tolerant_json(value)
        if not isinstance(read, dict if isinstance(kind, JsonObject) else list):
            raise ValueError("it holds no JSON of its kind")
        return read
    if isinstance(kind, Moment):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return kind.signless(value) if isinstance(kind, Unsigned) else kind.python_type(value)


def _clean_job(values: dict[str, Any], place: int) -> dict[str, Any]:
    """A job that was running waits again; one whose request cannot be read is refused (InvalidRequest, KeyError)."""
    if values["state"] not in STATES:
        raise ValueError(f"no such state: {values['state']}")
    request = Request.parse({name: value for name, value in values["request"].items() if name in FIELDS})
    state = "queued" if values["state"] == "running" else values["state"]
    return {"request": request.to_json(), "state": state, "place": place, "lease": None, "worker": None}
