"""The accounts: who may log in, with which password and role. Those that flags gave are among them for one run.

Passwords are kept as argon2 hashes. Another program, `python app.py user`, may change the table at any time: what is
known here is at most `FRESH` seconds old.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from argon2 import PasswordHasher
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from backend.errors import InvalidRequest, NotAllowed, NotFound, Problem
from backend.settings import Settings
from backend.store.database import Database
from backend.store.tables import (
    UNKNOWN_MOMENT,
    AccessTokenRow,
    AccountRow,
    BoardRow,
    BoardShareRow,
    PasswordLinkRow,
    SessionRow,
    ShareLinkRow,
    UserRow,
)
from backend.store.users import Users
from backend.store.view_types import LOCAL, ROLES, Role, User

_ROWS = select(AccountRow).join(UserRow, UserRow.id == AccountRow.owner)
ARGON2 = "$argon2"
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)     # OWASP's advice
FRESH = 1.0             # seconds for which what was read holds
SHORTEST = 8            # characters of a password that somebody chooses
LONGEST = 256
LONGEST_NAME = 64
LONGEST_FOLDER = 200    # bytes of the name that the user's folder has
LONGEST_OF_FLAGS = 251  # likewise, of names that were given before there was a bound: file systems take 255, with .csv


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may log in. `password` is an argon2 hash, "" where only an OpenID provider opens it."""

    user: User
    password: str = field(repr=False)
    subject: str | None = None
    disabled: bool = False
    created: datetime = UNKNOWN_MOMENT
    by_flags: bool = False              # of --auth or EASEL_AUTH; in the database it has no row

    @property
    def stamp(self) -> str:
        """Changes with the password: what was opened by another one is closed."""
        return hashlib.sha256(self.password.encode()).hexdigest()[:32]


class Accounts:
    """Thread-safe. Names are told apart to the letter."""

    def __init__(self, database: Database, users: Users, given: Mapping[str, str], admins: Collection[str]) -> None:
        """`given`: names and passwords of the flags, `admins` those of them who are admins.

        InvalidRequest for a name of the flags that no folder can have, StorageError.
        """
        for name in given:
            _check_folder(name, LONGEST_OF_FLAGS, f"{name[:LONGEST_NAME]} of --auth or EASEL_AUTH")
        self._database, self._users = database, users
        known = users.all_named(given)
        self._given = [self._of_flags(known[name], secret, name in admins) for name, secret in given.items()]
        self._lock = threading.Lock()
        self._by_id: dict[str, Account] = {}
        self._by_name: dict[str, Account] = {}
        self._read_at = float("-inf")

    @property
    def exist(self) -> bool:
        """Whether there is any account: then everybody has to log in, on loopback too."""
        return bool(self._known())

    def missing_for(self, settings: Settings) -> str:
        """Why Easel may not start with these settings as long as there are no accounts, and the ways out; or ""."""
        if settings.is_open or settings.setup_link or self.exist:
            return ""
        return (f"strangers could come in at {settings.host}, and there are no accounts. Make one with "
                "`python app.py user add NAME --admin`, with EASEL_ADMIN=name:password or by the address that "
                "--setup-link tells; or say who may enter with --auth FILE or EASEL_AUTH=name:password.")

    def all(self) -> list[Account]:
        """By name."""
        return sorted(self._known().values(), key=lambda account: account.user.name.casefold())

    def named(self, name: str) -> Account | None:
        self._known()
        return self._by_name.get(name)

    def of(self, user_id: str) -> Account | None:
        return self._known().get(user_id)

    def of_subject(self, subject: str) -> Account | None:
        """Whom an OpenID provider names."""
        return next((account for account in self._known().values() if account.subject == subject), None)

    def can_enter(self, user_id: str) -> bool:
        """Whether this user can come in as things are now; where nobody logs in that is the local one."""
        account = self.of(user_id)
        return not account.disabled if account else user_id == LOCAL.id and not self.exist

    def existing(self, user_id: str) -> Account:
        """NotFound."""
        account = self.of(user_id)
        if account is None:
            raise NotFound("There is no such account.")
        return account

    def add(self, name: str, role: Role, password: str) -> Account:
        """A new account; InvalidRequest, NotAllowed where the name is taken, StorageError."""
        check_name(name)
        secret, user = self.hashed(password), self._users.named(name)
        with self.changing() as session:
            self.insert(session, user, role, secret)
        return self.existing(user.id)

    def new_user(self, name: str) -> User:
        """Somebody who comes anew: InvalidRequest, NotAllowed where things of an earlier user have this name."""
        check_name(name)
        if self._users.is_known(name):
            raise NotAllowed("This name is taken: choose another one.")
        return self._users.named(name)

    def insert(self, session: Session, user: User, role: Role, secret: str, subject: str | None = None) -> None:
        """In a transaction of `changing`. `secret`: a hash. InvalidRequest, NotAllowed where there is one already."""
        if session.get(AccountRow, user.id) or any(given.user == user for given in self._given):
            raise NotAllowed(f"There is an account {user.name} already.")
        session.add(AccountRow(owner=user.id, role=_role(role), password=secret, subject=subject))

    def add_first_admin(self, name: str, password: str) -> None:
        """The one that the environment names, unless there is an account of that name. As `add`."""
        if self.named(name) is None:
            self.add(name, "admin", password)

    def set_password(self, name: str, password: str) -> None:
        """Every browser that is logged in has to log in anew. InvalidRequest, NotFound, NotAllowed, StorageError."""
        secret = self.hashed(password)
        with self.changing() as session:
            self.replace_password(session, name, secret)

    def replace_password(self, session: Session, name: str, secret: str) -> str:
        """In a transaction of `changing`: the user's id. Browsers are logged out, a link for another password ends.

        `secret`: a hash, or "" for none until one is chosen. NotFound, NotAllowed.
        """
        row = self._row(session, name)
        row.password = secret
        for table in (SessionRow, PasswordLinkRow):
            session.execute(delete(table).where(table.owner == row.owner))
        return row.owner

    def set_role(self, name: str, role: Role) -> None:
        """NotFound, NotAllowed where nobody else would be left to manage, StorageError."""
        with self.changing() as session:
            row = self._row(session, name)
            self._check_last(session, row, role == "admin")
            row.role = _role(role)

    def set_disabled(self, name: str, disabled: bool) -> None:
        """A disabled account is there and opens nothing, nor do its links and boards: see `can_enter`.

        NotFound, NotAllowed as above, StorageError.
        """
        with self.changing() as session:
            row = self._row(session, name)
            self._check_last(session, row, not disabled)
            row.disabled = disabled
            if disabled:
                session.execute(delete(SessionRow).where(SessionRow.owner == row.owner))

    def remove(self, name: str) -> None:
        """Its pictures stay, and are there again for an account of this name; nothing is shared any more.

        NotFound, NotAllowed, StorageError.
        """
        with self.changing() as session:
            row = self._row(session, name)
            self._check_last(session, row, False)
            for table in (SessionRow, AccessTokenRow, ShareLinkRow):
                session.execute(delete(table).where(table.owner == row.owner))
            boards = select(BoardRow.id).where(BoardRow.owner == row.owner)
            session.execute(delete(BoardShareRow).where(BoardShareRow.board.in_(boards)))
            session.delete(row)

    def hashed(self, password: str) -> str:
        """An argon2 hash, which takes a moment and 19 MB. InvalidRequest where it is too short or too long."""
        if not SHORTEST <= len(password) <= LONGEST:
            raise InvalidRequest(problems=[Problem(f"must have {SHORTEST} to {LONGEST} characters", "password")])
        return HASHER.hash(password)

    def _of_flags(self, user: User, secret: str, admin: bool) -> Account:
        """The salt is the user's, so that what was opened by a password holds until the flags name another."""
        salt = hashlib.sha256(user.id.encode()).digest()[:16]
        password = secret if secret.startswith(ARGON2) else HASHER.hash(secret, salt=salt)
        return Account(User(user.id, user.name, "admin" if admin else "artist"), password, by_flags=True)

    def _row(self, session: Session, name: str) -> AccountRow:
        row = session.scalar(_ROWS.where(UserRow.name == name))
        if row is None and any(given.user.name == name for given in self._given):
            raise NotAllowed(f"{name} was named when Easel was started, with --auth or EASEL_AUTH: change it there.")
        if row is None:
            raise NotFound(f"There is no account {name}.")
        return row

    def _check_last(self, session: Session, row: AccountRow, stays: bool) -> None:
        """The last admin of the database stays one, as long as there are others to manage."""
        usable = select(AccountRow.owner).where(AccountRow.owner != row.owner)
        others = usable.where(AccountRow.role == "admin", ~AccountRow.disabled)
        if row.role == "admin" and not stays and session.scalar(usable) and not session.scalar(others):
            raise NotAllowed("There would be no admin left: make another account one first.")

    @contextmanager
    def changing(self) -> Iterator[Session]:
        """A transaction after which the accounts are read anew. StorageError."""
        try:
            with self._database.write() as session:
                yield session
        finally:
            self._read_at = float("-inf")

    def _known(self) -> dict[str, Account]:
        """By the user's id; StorageError."""
        with self._lock:
            if time.monotonic() - self._read_at > FRESH:
                self._by_id = self._read() | {account.user.id: account for account in self._given}
                self._by_name = {account.user.name: account for account in self._by_id.values()}
                self._read_at = time.monotonic()
            return self._by_id

    def _read(self) -> dict[str, Account]:
        with self._database.read() as session:
            rows = session.execute(_ROWS.add_columns(UserRow.name)).all()
        return {row.owner: Account(User(row.owner, name, row.role), row.password, row.subject, row.disabled,
                                   row.created) for row, name in rows}


def check_name(name: str) -> None:
    """InvalidRequest for a name that cannot be typed, that HTTP Basic cannot carry, or that no folder can have."""
    if not 0 < len(name) <= LONGEST_NAME or name != name.strip() or ":" in name or not name.isprintable():
        why = f"must have 1 to {LONGEST_NAME} characters, none of them a colon, and no space around it"
        raise InvalidRequest(problems=[Problem(why, "name")])
    _check_folder(name, LONGEST_FOLDER)


def _check_folder(name: str, longest: int, told: str = "") -> None:
    """InvalidRequest where the user's folder would have a longer name; `told` stands before the reason."""
    if len(User("", name).folder) > longest:
        why = f"{told} is too long for the name of a folder, where each letter outside English takes more room"
        raise InvalidRequest(problems=[Problem(why.strip(), "" if told else "name")])


def _role(role: str) -> Role:
    if role not in ROLES:
        raise InvalidRequest(problems=[Problem(f"must be one of {', '.join(ROLES)}", "role")])
    return role
