"""Logins and failed logins on their way into the audit log, whichever door they came by."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from backend.http.accounts.authentication import Denied
from backend.http.accounts.login_throttle import network
from backend.store.audit_log import AuditLog

DAY = 86400.0           # a program that sends name and password with each request is one entry a day
TOO_MANY = (429, 503)   # these look at no password, so that no name is told of them


async def note_denied(audit: AuditLog, name: str, address: str, denied: Denied) -> None:
    """A login that was refused. Who has a whole network of addresses writes no more than who has one."""
    too_many = denied.status in TOO_MANY
    action, told = ("too many logins", "") if too_many else ("failed login", name)
    await run_in_threadpool(audit.login, action, told, address, denied.reason, whose=network(address))


async def note_password(audit: AuditLog, name: str, address: str) -> None:
    """Somebody who sends name and password with the request itself."""
    await run_in_threadpool(audit.login, "login by password", name, address, every=DAY)


async def note_login(request: Request, action: str, name: str, detail: str = "") -> None:
    """What a browser does at the login page."""
    await run_in_threadpool(request.app.state.backend.audit_log.login, action, name, address_of(request), detail)


def address_of(request: Request) -> str:
    """Where a request comes from, as the server knows it."""
    return request.client.host if request.client else ""
