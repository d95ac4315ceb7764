"""Links by which one person each may make an account: an admin's invitations, and the one to set Easel up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select, update

from backend.errors import InvalidRequest, NotFound, Problem
from backend.store.accounts import Account, Accounts
from backend.store.bearer_secrets import digest, new_id, new_secret
from backend.store.database import Database
from backend.store.tables import InvitationRow, now
from backend.store.view_types import ROLES, Role

HOURS = 72              # for which an invitation holds
MOST_HOURS = 24 * 90
REMEMBERED = timedelta(days=30)     # after it was taken or has expired
GONE = "This link does not hold any more. Ask for another one."
SETUP = "setup"         # the id of the one to set Easel up


@dataclass(frozen=True, slots=True)
class Invitation:
    """`account` is the name that was made with it, "" as long as it is open."""

    id: str
    role: Role
    expires: datetime
    account: str = ""

    @property
    def is_setup(self) -> bool:
        return self.id == SETUP


class Invitations:
    """Thread-safe."""

    def __init__(self, database: Database, accounts: Accounts) -> None:
        self._database, self._accounts = database, accounts

    def make(self, role: Role, hours: int = HOURS, *, setup: bool = False) -> str:
        """The secret of a new invitation, which is told this once; InvalidRequest, StorageError.

        The one for the setup takes the place of an earlier one.
        """
        if role not in ROLES:
            raise InvalidRequest(problems=[Problem(f"must be one of {', '.join(ROLES)}", "role")])
        if not 1 <= hours <= MOST_HOURS:
            raise InvalidRequest(problems=[Problem(f"must be a number from 1 to {MOST_HOURS}", "hours")])
        secret, moment, number = new_secret(), now(), SETUP if setup else new_id()
        old = or_(InvitationRow.expires < moment - REMEMBERED, InvitationRow.id == number)
        with self._database.write() as session:
            session.execute(delete(InvitationRow).where(old))
            session.add(InvitationRow(id=number, digest=digest(secret), role=role,
                                      expires=moment + timedelta(hours=hours)))
        return secret

    def listed(self) -> list[Invitation]:
        """All of the last time, the newest first; taken and expired ones too. StorageError."""
        with self._database.read() as session:
            rows = session.scalars(select(InvitationRow).order_by(InvitationRow.created.desc())).all()
        return [_of(row) for row in rows if row.id != SETUP]

    def revoke(self, invitation: str) -> None:
        """NotFound, StorageError."""
        with self._database.write() as session:
            row = session.get(InvitationRow, invitation)
            if row is None:
                raise NotFound("There is no such invitation.")
            session.delete(row)

    def of(self, secret: str) -> Invitation:
        """The open invitation behind a link; NotFound where it was taken, has expired or never was. StorageError."""
        with self._database.read() as session:
            row = session.scalar(select(InvitationRow).where(InvitationRow.digest == digest(secret)))
        if row is None or row.used or row.expires < now() or row.id == SETUP and self._accounts.exist:
            raise NotFound(GONE)
        return _of(row)

    def take(self, secret: str, name: str, password: str) -> Account:
        """Make the account. InvalidRequest, NotFound, NotAllowed where the name is taken, StorageError.

        Of several who come at once one gets it.
        """
        invitation, hashed = self.of(secret), self._accounts.hashed(password)
        user = self._accounts.new_user(name)
        mine = (InvitationRow.digest == digest(secret), InvitationRow.used.is_(None))
        with self._accounts.changing() as session:
            if session.scalar(select(InvitationRow).where(*mine)) is None:
                raise NotFound(GONE)
            self._accounts.insert(session, user, invitation.role, hashed)
            session.execute(update(InvitationRow).where(*mine).values(used=now(), account=name))
        return self._accounts.existing(user.id)


def _of(row: InvitationRow) -> Invitation:
    return Invitation(row.id, row.role, row.expires, row.account)
