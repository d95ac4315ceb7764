"""What admins see and do: people with their roles, limits and sessions, everybody's queue, devices, the audit log.

Every act is written into the audit log, with the admin's name and address.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from backend.errors import Forbidden, InvalidRequest, NotFound
from backend.facade.components import Components
from backend.facade.limits import LimitState
from backend.store.accounts import Account
from backend.store.audit_log import AuditEntry
from backend.store.fair_queue import EVERYBODY
from backend.store.invitations import HOURS, Invitation
from backend.store.user_activity import Activity, activities
from backend.store.view_types import QueueLine, Role, User, Worker

if TYPE_CHECKING:
    from backend.facade.backend import Backend
    from backend.facade.door import Door

SHOWN = 200         # lines of one user's queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """An account as admins see it. `disk` is in bytes; `last_seen` is None for one that was never seen."""

    name: str
    role: Role
    disabled: bool
    by_flags: bool              # named when Easel was started: role and password are changed there
    created: datetime
    last_seen: datetime | None
    sessions: int               # browsers that are logged in
    pending: int                # jobs that wait or are drawn
    jobs: int                   # of all time
    pictures: int
    disk: int
    paused: bool
    limits: Sequence[LimitState]


@dataclass(frozen=True, slots=True)
class QueueOf:
    """The queue of one person: its first lines and how many there are."""

    name: str
    lines: Sequence[QueueLine]
    total: int
    paused: bool


class Administration:
    """For one admin. Forbidden for anybody else, and where nobody logs in. NotFound for accounts that are not there."""

    def __init__(self, backend: Backend, components: Components, user: User, address: str) -> None:
        if not user.is_admin or not components.accounts.exist:
            raise Forbidden("Only an admin of this Easel may do this.")
        self._backend, self._parts, self._user, self._address = backend, components, user, address

    # ---- people ----

    def people(self) -> list[Person]:
        """By name."""
        with self._parts.database.read() as session:
            known = activities(session)
        return [self._person(account, known.get(account.user.id, Activity())) for account in self._parts.accounts.all()]

    def set_role(self, name: str, role: Role) -> None:
        """InvalidRequest; NotAllowed where nobody would be left to manage."""
        self._account(name)
        self._parts.accounts.set_role(name, role)
        self._noted("role", name, role)

    def set_disabled(self, name: str, disabled: bool) -> None:
        """A disabled account opens nothing, its browsers are logged out. NotAllowed as above."""
        self._account(name)
        if disabled and name == self._user.name:
            raise InvalidRequest("is your own account", field="name")
        self._parts.accounts.set_disabled(name, disabled)
        self._noted("disable" if disabled else "enable", name)

    def reset_password(self, name: str) -> str:
        """The secret of a link by which the person chooses a new one, told this once. The old one holds no longer.

        Every browser has to log in anew. InvalidRequest for one's own account, NotAllowed.
        """
        self._account(name)
        if name == self._user.name:
            raise InvalidRequest("is your own account: change the password on its page", field="name")
        secret = self._parts.password_links.make(name)
        self._noted("reset password", name)
        return secret

    def end_sessions(self, name: str) -> None:
        """Every browser of the account has to log in anew."""
        account = self._account(name)
        self._noted("end sessions", name)
        self._parts.sessions.close_all(account.user.id)

    def set_limits(self, name: str, values: Mapping[str, Any]) -> None:
        """Limits of this person's own: a number or a text like 10GB, None for none, "" for the operator's.

        InvalidRequest names each wrong one, and then nothing is changed.
        """
        account = self._account(name)
        self._parts.limits.change(account.user.id, values)
        self._noted("limits", name, ", ".join(f"{limit}: {_told(value)}" for limit, value in values.items()))

    # ---- invitations ----

    def invite(self, role: Role, hours: int = HOURS) -> str:
        """The secret of a new invitation, told this once. InvalidRequest names `role` or `hours`."""
        secret = self._parts.invitations.make(role, hours)
        self._noted("invite", "", f"{role}, {hours} hours")
        return secret

    def invitations(self) -> list[Invitation]:
        """Of the last time, newest first."""
        return self._parts.invitations.listed()

    def revoke_invitation(self, invitation: str) -> None:
        """NotFound."""
        self._parts.invitations.revoke(invitation)
        self._noted("revoke invitation", invitation)

    # ---- everybody's queue ----

    def queues(self) -> list[QueueOf]:
        """Of everybody with jobs that wait or are drawn, by name."""
        found = [(account, self._parts.jobs.overview(account.user.id, limit=SHOWN))
                 for account in self._parts.accounts.all()]
        return [QueueOf(account.user.name, queue.jobs, queue.total, queue.paused)
                for account, queue in found if queue.total or queue.paused]

    def cancel(self, name: str, job: str) -> None:
        """End somebody's job or plot, as its owner would. NotFound, NotAllowed."""
        door = self._door(name)
        is_plot = job in self._parts.jobs.look.plots(door.user.id)
        door.plots.cancel(job) if is_plot else door.cancel(job)
        self._noted("cancel", name, job)

    def cancel_all(self, name: str) -> None:
        """End all that somebody has waiting or drawn."""
        self._noted("cancel all", name)
        self._door(name).cancel_all()

    def pause(self, name: str, on: bool) -> None:
        """Let none of somebody's waiting jobs start until they are resumed, or with `EVERYBODY` nobody's."""
        action = "pause" if on else "resume"
        if name == EVERYBODY:
            self._noted(action, "everybody")
            self._backend.as_(self._user).pause(on, everybody=True)
            return
        door = self._door(name)
        self._noted(action, name)
        door.pause(on)

    def all_paused(self) -> bool:
        return self._parts.jobs.overview(self._user.id, limit=1).all_paused

    # ---- devices and the log ----

    def devices(self) -> list[dict[str, Any]]:
        """Each worker, and how many jobs of anybody it draws."""
        drawn = self._parts.dispatcher.drawn()
        return [dataclasses.asdict(worker) | {"drawing": drawn.get(worker.name, 0)} for worker in self._workers()]

    def audit(self, words: str = "", before: int | None = None, limit: int = 100) -> list[AuditEntry]:
        """Entries of the audit log, newest first: see `AuditLog.page`."""
        return self._parts.audit_log.page(words, before, limit)

    def audit_lines(self, words: str = "") -> Iterator[str]:
        """All of them as JSON lines."""
        self._noted("export the log", "", words)
        return self._parts.audit_log.lines(words)

    # ---- inside ----

    def _workers(self) -> Sequence[Worker]:
        return self._parts.dispatcher.status().workers

    def _account(self, name: str) -> Account:
        account = self._parts.accounts.named(name)
        if account is None:
            raise NotFound(f"There is no account {name}.")
        return account

    def _door(self, name: str) -> Door:
        """Of that person, whose jobs can be ended whatever his role is now."""
        return self._backend.as_(dataclasses.replace(self._account(name).user, role="artist"))

    def _noted(self, action: str, subject: str = "", detail: str = "") -> None:
        self._parts.audit_log.add(action, self._user.name, subject, self._address, detail)

    def _person(self, account: Account, known: Activity) -> Person:
        user = account.user
        return Person(
            name=user.name, role=user.role, disabled=account.disabled, by_flags=account.by_flags,
            created=account.created, last_seen=known.last_seen, sessions=known.sessions, jobs=known.jobs,
            pictures=known.pictures, pending=self._parts.jobs.look.pending(user.id),
            disk=self._parts.disk.of(user.id).total, paused=self._parts.jobs.look.is_paused(user.id),
            limits=self._parts.limits.states(user.id))


def _told(limit: Any) -> str:
    """A limit as the audit log tells it."""
    return "none" if limit is None else str(limit) or "as the operator says"
