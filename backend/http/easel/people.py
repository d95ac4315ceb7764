"""The People tab's routes, for admins: accounts, limits, invitations, everybody's queue, devices, the audit log."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query
from starlette.requests import Request
from starlette.responses import StreamingResponse

from backend import Administration
from backend.http.accounts.account_pages import here
from backend.http.dependencies import EntireBackend, Place
from backend.store.fair_queue import EVERYBODY
from backend.store.invitations import HOURS

MOST = 500      # entries of the log in one answer
router = APIRouter(prefix="/easel/people")


def _admin(request: Request, backend: EntireBackend) -> Administration:
    """The caller as an admin. Forbidden."""
    return backend.administration(request.state.user, request.client.host if request.client else "")


Admin = Annotated[Administration, Depends(_admin)]
Name = Annotated[str, Body(embed=True, max_length=200)]


@router.get("")
def people(admin: Admin) -> dict[str, Any]:
    """Everybody with role, last time, jobs, disk and limits; and invitations that are open."""
    return {"people": [asdict(person) for person in admin.people()],
            "invitations": [asdict(one) for one in admin.invitations()]}


@router.post("/role")
def role(admin: Admin, name: Name, role: Name) -> dict[str, bool]:
    """Lets an account do more or less: "admin", "artist" or "viewer"."""
    admin.set_role(name, role)      # type: ignore[arg-type]
    return {"ok": True}


@router.post("/disable")
def disable(admin: Admin, name: Name, on: Annotated[bool, Body()] = True) -> dict[str, bool]:
    """Closes an account and keeps all that is its, or opens it again."""
    admin.set_disabled(name, on)
    return {"ok": True}


@router.post("/end-sessions")
def end_sessions(admin: Admin, name: Name) -> dict[str, bool]:
    """Every browser of an account has to log in anew."""
    admin.end_sessions(name)
    return {"ok": True}


@router.post("/password")
def password(admin: Admin, request: Request, name: Name) -> dict[str, str]:
    """Closes an account's password; the answer is a link by which the person chooses another one, told this once."""
    return _link(request, f"/password/{admin.reset_password(name)}")


@router.post("/limits")
def limits(admin: Admin, name: Name, limits: Annotated[dict[str, Any], Body()]) -> dict[str, bool]:
    """Limits of a person's own: a number or a text like 10GB, null for none, "" for the operator's."""
    admin.set_limits(name, limits)
    return {"ok": True}


@router.post("/invitations")
def invite(
    admin: Admin, request: Request, role: Name = "artist", hours: Annotated[int, Body()] = HOURS
) -> dict[str, str]:
    """A link by which one person can make an account; it is told this once."""
    return _link(request, f"/join/{admin.invite(role, hours)}")      # type: ignore[arg-type]


def _link(request: Request, path: str) -> dict[str, str]:
    return {"url": f"{here(request)}{path}", "path": path}


@router.post("/invitations/{invitation}/revoke")
def revoke(admin: Admin, invitation: str) -> dict[str, bool]:
    """The link opens nothing any more."""
    admin.revoke_invitation(invitation)
    return {"ok": True}


@router.get("/queue")
def queue(admin: Admin) -> dict[str, Any]:
    """What everybody has waiting or drawn, by person, and the devices."""
    return {"queues": [asdict(each) for each in admin.queues()], "all_paused": admin.all_paused(),
            "devices": admin.devices()}


@router.post("/queue/cancel")
def cancel(admin: Admin, name: Name, job: Annotated[str, Body(max_length=100)] = "") -> dict[str, bool]:
    """Ends somebody's job or plot, or without one all that is his."""
    admin.cancel(name, job) if job else admin.cancel_all(name)
    return {"ok": True}


@router.post("/queue/pause")
def pause(admin: Admin, name: Name = EVERYBODY, on: Annotated[bool, Body()] = True) -> dict[str, bool]:
    """Lets none of somebody's waiting jobs start, or nobody's ("*"), until it is sent with `on` false."""
    admin.pause(name, on)
    return {"ok": True}


@router.get("/audit")
def audit(admin: Admin, backend: EntireBackend, q: str = "", before: Place | None = None,
          limit: Annotated[int, Query(ge=1, le=MOST)] = 100) -> dict[str, Any]:
    """The audit log, newest first; `q`: words that an entry must have, `before`: the last number already known."""
    return {"entries": [asdict(entry) for entry in admin.audit(q, before, limit)],
            "days": backend.settings.audit_days}


@router.get("/audit.jsonl", response_class=StreamingResponse)
def export(admin: Admin, q: str = "") -> StreamingResponse:
    """The same as a file, an entry a line."""
    headers = {"Content-Disposition": 'attachment; filename="easel-audit.jsonl"', "Cache-Control": "no-store"}
    return StreamingResponse(admin.audit_lines(q), media_type="application/jsonl", headers=headers)
