"""The way in and out: the login page, invitations, logging out."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from backend.errors import EaselError, InvalidRequest, NotFound
from backend.http.accounts.account_pages import page, translated
from backend.http.accounts.authentication import Denied
from backend.http.accounts.identification import Login, has_left, left_cookie, session_cookie
from backend.http.accounts.login_audit import address_of, note_denied, note_login
from backend.store.accounts import Account
from backend.store.invitations import Invitation

LONGEST = 2000          # characters of an address to go on to
router = APIRouter(include_in_schema=False)


@router.get("/login")
async def ask(request: Request, next: str = "/") -> Response:
    """The login page; who is logged in goes on. After a logout the browser forgets what it kept for that person."""
    if request.state.user:
        return _onward(request, next)
    left = has_left(request.headers, request.app.state.backend.settings.port)
    return _login_page(request, next, run="forget.js" if left else "")


@router.post("/login")
async def enter(request: Request) -> Response:
    """Logs a browser in by name and password, and goes on to the page that it wanted.

    Gradio's Python client calls the name `username`, and takes the session from an answer that leads nowhere.
    """
    form = await _texts(request, "name", "username", "password", "next")
    is_program, name = bool(form["username"]), form["name"] or form["username"]
    credentials = request.app.state.identification.credentials
    address = address_of(request)
    try:
        account = await credentials.checked(name, form["password"], address)
    except Denied as denied:
        await note_denied(request.app.state.backend.audit_log, name, address, denied)
        if is_program:
            return JSONResponse({"detail": denied.reason}, denied.status, denied.headers)
        return _login_page(request, form["next"], denied.status, denied.reason, name)
    answer = JSONResponse({"success": True}) if is_program else _onward(request, form["next"])
    return await _with_session(request, account, answer)


@router.post("/logout")
async def leave(request: Request) -> Response:
    """Ends the session of this browser, or of all browsers of the caller."""
    everywhere = (await _texts(request, "everywhere"))["everywhere"]
    login: Login | None = request.state.login
    sessions = request.app.state.backend.sessions
    if login and everywhere:
        await run_in_threadpool(sessions.close_all, login.user.id)
    elif login and login.session:
        await run_in_threadpool(sessions.close, login.session)
    answer = RedirectResponse("/login", 303)
    _set_session(request, answer, "")
    if login:
        await note_login(request, "logout", login.user.name, "everywhere" if everywhere else "")
    return answer


def _gone(request: Request, error: NotFound) -> Response:
    """The page in the place of one whose address has been used, or is over."""
    return page(request, "gone.html", 404, problem=translated(request, str(error)))


@router.get("/join/{secret}")
def invited(request: Request, secret: str) -> Response:
    """The page on which somebody who was invited chooses a name and a password."""
    try:
        invitation = request.app.state.backend.invitations.of(secret)
    except NotFound as error:
        return _gone(request, error)
    return page(request, "join.html", **_joining(invitation))


@router.post("/join/{secret}")
async def join(request: Request, secret: str) -> Response:
    """Makes the account and logs its browser in."""
    form = await _texts(request, "name", "password", "again")
    invitations = request.app.state.backend.invitations
    try:
        invitation = await run_in_threadpool(invitations.of, secret)
    except NotFound as error:
        return _gone(request, error)
    try:
        problem = "" if form["password"] == form["again"] else "The two passwords differ."
        account = None if problem else await run_in_threadpool(
            invitations.take, secret, form["name"].strip(), form["password"])
    except EaselError as error:
        account, problem = None, sentence(request, error)
    if account is None:
        told = _joining(invitation, translated(request, problem), form["name"])
        return page(request, "join.html", 422, **told)
    await note_login(request, "join", account.user.name, f"as {account.user.role}")
    return await logged_in(request, account, "/")


@router.get("/password/{secret}")
def ask_for_password(request: Request, secret: str) -> Response:
    """The page on which the owner of an account chooses another password."""
    try:
        account = request.app.state.backend.password_links.of(secret)
    except NotFound as error:
        return _gone(request, error)
    return page(request, "password.html", name=account.user.name, problem="")


@router.post("/password/{secret}")
async def choose_password(request: Request, secret: str) -> Response:
    """Sets the password and logs its browser in."""
    form = await _texts(request, "password", "again")
    links = request.app.state.backend.password_links
    try:
        account = await run_in_threadpool(links.of, secret)
        if form["password"] != form["again"]:
            raise InvalidRequest("The two passwords differ.")
        account = await run_in_threadpool(links.use, secret, form["password"])
    except NotFound as error:
        return _gone(request, error)
    except InvalidRequest as error:
        return page(request, "password.html", 422, name=account.user.name, problem=sentence(request, error))
    await note_login(request, "change password", account.user.name, "by a link")
    return await logged_in(request, account, "/")


async def logged_in(request: Request, account: Account, onward: str) -> Response:
    """Goes on as this account."""
    return await _with_session(request, account, _onward(request, onward))


def sentence(request: Request, error: EaselError) -> str:
    """What is wrong, in the language of the page."""
    return " ".join(f"{translated(request, one.field.capitalize())} {translated(request, one.message)}".strip()
                    for one in error.problems)


def own_path(address: str) -> str:
    """The address, if it is a path of this Easel; else "/". Browsers take backslashes for slashes."""
    parts = urlsplit(address.replace("\\", "/")) if len(address) <= LONGEST and address.isprintable() else None
    is_path = parts and not parts.scheme and not parts.netloc and re.match(r"/(?!/)", address.replace("\\", "/"))
    return address if is_path else "/"


def _login_page(request: Request, onward: str, status: int = 200, problem: str = "", name: str = "",
                run: str = "") -> Response:
    told = {"next": own_path(onward), "problem": translated(request, problem), "name": name,
            "empty": not request.app.state.backend.accounts.exist,
            "openid": request.app.state.backend.settings.oidc is not None}
    return page(request, "login.html", status, run, **told)


def _joining(invitation: Invitation, problem: str = "", name: str = "") -> dict[str, Any]:
    return {"role": invitation.role, "setup": invitation.is_setup, "problem": problem, "name": name}


async def _with_session(request: Request, account: Account, answer: Response) -> Response:
    """The answer with a new session. The one that the caller had before ends: a token is never taken over."""
    login: Login | None = request.state.login
    sessions = request.app.state.backend.sessions
    if login and login.session:
        await run_in_threadpool(sessions.close, login.session)
    token = await run_in_threadpool(sessions.open, account)
    await note_login(request, "login", account.user.name)
    _set_session(request, answer, token)
    return answer


def _onward(request: Request, address: str) -> Response:
    return RedirectResponse(own_path(address), 303, {"Cache-Control": "no-store"})


def _set_session(request: Request, answer: Response, token: str) -> None:
    scope, port = request.scope, request.app.state.backend.settings.port
    answer.headers.append("Set-Cookie", session_cookie(token, scope, port))
    answer.headers.append("Set-Cookie", left_cookie(not token, scope, port))


async def _texts(request: Request, *names: str) -> dict[str, str]:
    """The fields of a form; what is missing or no text is ""."""
    sent: dict[str, Any] = dict(await request.form())
    return {name: sent[name] if isinstance(sent.get(name), str) else "" for name in names}
