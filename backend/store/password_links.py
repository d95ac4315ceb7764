"""Links by which the owner of an account chooses another password, once: whoever makes the link never knows it."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import NotFound
from backend.store.accounts import Account, Accounts
from backend.store.bearer_secrets import digest, new_secret
from backend.store.database import Database
from backend.store.tables import PasswordLinkRow, now

HOURS = 72              # for which a link holds
GONE = "This link does not hold any more. Ask for another one."


class PasswordLinks:
    """Thread-safe. An account has one link at most."""

    def __init__(self, database: Database, accounts: Accounts) -> None:
        self._database, self._accounts = database, accounts

    def make(self, name: str) -> str:
        """The secret of a new link, told this once: an earlier one, the old password and all browsers are out.

        NotFound, NotAllowed where flags give the password, StorageError.
        """
        secret = new_secret()
        with self._accounts.changing() as session:
            owner = self._accounts.replace_password(session, name, "")
            session.add(PasswordLinkRow(owner=owner, digest=digest(secret), expires=now() + timedelta(hours=HOURS)))
        return secret

    def of(self, secret: str) -> Account:
        """Whose password can be chosen; NotFound where the link was used or replaced, has expired or never was.

        StorageError.
        """
        with self._database.read() as session:
            owner = self._owner(session, secret)
        account = self._accounts.of(owner)
        if account is None or account.disabled:
            raise NotFound(GONE)
        return account

    def use(self, secret: str, password: str) -> Account:
        """The account with its new password. InvalidRequest, NotFound, StorageError. Of several at once one does it."""
        account, hashed = self.of(secret), self._accounts.hashed(password)
        with self._accounts.changing() as session:
            self._owner(session, secret)
            self._accounts.replace_password(session, account.user.name, hashed)
        return self._accounts.existing(account.user.id)

    def _owner(self, session: Session, secret: str) -> str:
        row = session.scalar(select(PasswordLinkRow).where(PasswordLinkRow.digest == digest(secret)))
        if row is None or row.expires < now():
            raise NotFound(GONE)
        return row.owner
