"""One's own account: password, sessions, tokens; for admins the invitations. Forms of a page without scripts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Form
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from backend import User
from backend.errors import EaselError, Forbidden, NotAllowed, NotFound
from backend.http.accounts.account_pages import here, page, translated
from backend.http.accounts.authentication import Denied
from backend.http.accounts.identification import Login, session_cookie
from backend.http.accounts.login import sentence
from backend.http.accounts.login_audit import address_of, note_denied
from backend.store.access_tokens import SCOPES
from backend.store.accounts import Account
from backend.store.invitations import HOURS
from backend.store.view_types import ROLES

Text = Annotated[str, Form()]
Number = Annotated[int, Form()]
router = APIRouter(include_in_schema=False)


@router.get("/easel/me")
def me(request: Request) -> dict[str, Any]:
    """Who is logged in, for the page's menu."""
    login: Login = request.state.login
    return {"name": login.user.name, "role": login.user.role, "logged_in": login.way != "open"}


@router.get("/account")
def show(request: Request) -> Response:
    """The page of one's own account."""
    if request.state.login.way == "open":
        return RedirectResponse("/", 303)
    return _shown(request)


@router.post("/account/password")
async def change_password(request: Request, old: Text = "", new: Text = "", again: Text = "") -> Response:
    """Another password: all other browsers of the account have to log in anew, this one goes on."""
    account = await run_in_threadpool(_account, request)
    if account.password and (refusal := await _refusal(request, account.user.name, old)):
        return await run_in_threadpool(_shown, request, "password", refusal)
    return await run_in_threadpool(_with_new_password, request, account.user.name, new, again)


async def _refusal(request: Request, name: str, password: str) -> str:
    """Why the old password does not do; it is tried as at the login, and as seldom. "" where it is right."""
    backend, address = request.app.state.backend, address_of(request)
    try:
        await request.app.state.identification.credentials.checked(name, password, address)
    except Denied as denied:
        await note_denied(backend.audit_log, name, address, denied)
        return "The old password is not right." if denied.status == 401 else denied.reason
    return ""


def _with_new_password(request: Request, name: str, new: str, again: str) -> Response:
    backend = request.app.state.backend
    if new != again:
        return _shown(request, "password", "The two passwords differ.")
    if trouble := _tried(request, "change password", lambda: backend.accounts.set_password(name, new)):
        return _shown(request, "password", trouble)
    answer = _shown(request, "password", done="The password is changed. All other browsers are logged out.")
    token = backend.sessions.open(_account(request))
    answer.headers.append("Set-Cookie", session_cookie(token, request.scope, backend.settings.port))
    return answer


@router.post("/account/tokens")
def make_token(request: Request, name: Text = "", scope: Text = "", days: Text = "") -> Response:
    """A new token, shown this once."""
    made: list[str] = []
    scopes = [*SCOPES][:[*SCOPES].index(scope) + 1] if scope in SCOPES else []
    tokens = request.app.state.backend.access_tokens
    trouble = _tried(request, "make token", lambda: made.append(
        tokens.make(_account(request).user.id, name, scopes, _days(days))))
    return _shown(request, "tokens", trouble, secret="".join(made))


@router.post("/account/tokens/{token}/revoke")
def revoke_token(request: Request, token: str) -> Response:
    tokens = request.app.state.backend.access_tokens
    trouble = _tried(request, "revoke token", lambda: tokens.revoke(_account(request).user.id, token))
    return _shown(request, "tokens", trouble)


@router.post("/account/invitations")
def invite(request: Request, role: Text = "", hours: Number = HOURS) -> Response:
    """A link for one person, shown this once. For admins."""
    made: list[str] = []
    invitations = _for_admins(request).invitations
    trouble = _tried(request, "invite", lambda: made.append(invitations.make(role, hours)))
    return _shown(request, "invitations", trouble, link=f"{here(request)}/join/{made[0]}" if made else "")


@router.post("/account/invitations/{invitation}/revoke")
def revoke_invitation(request: Request, invitation: str) -> Response:
    invitations = _for_admins(request).invitations
    trouble = _tried(request, "revoke invitation", lambda: invitations.revoke(invitation))
    return _shown(request, "invitations", trouble)


def _account(request: Request) -> Account:
    """The caller's. NotAllowed where nobody has one, because nobody logs in."""
    if request.state.login.way == "open":
        raise NotAllowed("Nobody logs in to this Easel: make an account first.")
    return request.app.state.backend.accounts.existing(request.state.user.id)


def _days(written: str) -> int | None:
    """None where nothing is written: for ever. What is no number is 0, which no token takes."""
    return (int(written) if written.isdecimal() else 0) if written else None


def _for_admins(request: Request) -> Any:
    user: User = request.state.user
    if not user.is_admin or request.state.login.way == "open":
        raise Forbidden("Only an admin of this Easel may invite others.")
    return request.app.state.backend


def _tried(request: Request, action: str, act: Callable[[], object]) -> str:
    """What is wrong with an act, for the page; "" when it was done, and then it stands in the audit log.

    NotFound where what it is about is not there, or is another's.
    """
    name = request.state.user.name
    try:
        act()
        request.app.state.backend.audit_log.add(action, name, name, address_of(request))
    except NotFound:
        raise
    except EaselError as error:
        return sentence(request, error)
    return ""


def _shown(request: Request, part: str = "", problem: str = "", done: str = "", **told: str) -> Response:
    backend, account = request.app.state.backend, _account(request)
    shown = {
        "account": account, "part": part, "problem": translated(request, problem), "done": translated(request, done),
        "tokens": backend.access_tokens.listed(account.user.id), "roles": ROLES, "secret": "", "link": "",
        "scopes": [scope for scope, role in SCOPES.items() if ROLES.index(role) <= ROLES.index(account.user.role)],
        "invitations": backend.invitations.listed() if account.user.is_admin else None}
    return page(request, "account.html", 422 if problem else 200, **shown | told)
