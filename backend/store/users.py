"""The users by name: each account has an id of its own, which the rows of what it owns carry.

An account keeps its id from its first mention on; under another name it is another user. Where nobody logs in
everything belongs to `LOCAL`, whom no account can become, whatever it is called.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterable

from sqlalchemy import select

from backend.errors import NotFound
from backend.store.database import Database
from backend.store.tables import UserRow
from backend.store.view_types import LOCAL, User

USER_ID = re.compile("u[0-9a-f]{16}")


def new_user_id() -> str:
    """An id that no other user has."""
    return f"u{secrets.token_hex(8)}"


class Users:
    """Thread-safe; who is known is asked from memory."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._by_id: dict[str, User] = {}
        self._by_name: dict[str, User] = {}
        self._read()

    def of(self, user_id: str) -> User:
        """The user with this id; NotFound, StorageError."""
        if user_id not in self._by_id:
            self._read()        # `python app.py user add` writes beside a running Easel
        user = self._by_id.get(user_id)
        if user is None:
            raise NotFound("There is no such user.")
        return user

    def is_known(self, account: str) -> bool:
        """Whether an account of this name has ever been mentioned. StorageError."""
        if account not in self._by_name:
            self._read()
        return account in self._by_name

    def named(self, account: str) -> User:
        """The user behind the name of an account; a new one at its first mention. StorageError."""
        return self.all_named([account])[account]

    def known(self, account: str) -> User | None:
        """The user behind the name of an account; None for one that was never mentioned."""
        return self._by_name.get(account)

    def all_named(self, accounts: Iterable[str]) -> dict[str, User]:
        """The users behind several accounts, by name. StorageError."""
        wanted = list(accounts)
        with self._lock:
            if not self._by_name.keys() >= set(wanted):
                self._read()
            if new := [User(new_user_id(), name) for name in dict.fromkeys(wanted) if name not in self._by_name]:
                self._add(new)
            return {name: self._by_name[name] for name in wanted}

    def _read(self) -> None:
        with self._database.read() as session:
            known = [User(row.id, row.name) for row in session.scalars(select(UserRow))]
        self._by_id = {user.id: user for user in (LOCAL, *known)}
        self._by_name = {user.name: user for user in known}

    def _add(self, new: list[User]) -> None:
        with self._database.write() as session:
            session.add_all(UserRow(id=user.id, name=user.name) for user in new)
        self._by_id |= {user.id: user for user in new}
        self._by_name |= {user.name: user for user in new}
