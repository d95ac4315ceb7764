"""Who sends a request: name and password, a token, the cookie of a browser that is logged in, or nobody."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import Scope

from backend import LOCAL, User
from backend.http.accounts.authentication import Credentials, Denied, parse_basic, unauthorized
from backend.http.accounts.login_audit import note_denied, note_password
from backend.settings import Settings
from backend.store.access_tokens import AccessTokens
from backend.store.accounts import Account, Accounts
from backend.store.audit_log import AuditLog
from backend.store.sessions import LONGEST, Session, Sessions
from backend.store.shared_login_tries import LoginTries

Way = Literal["open", "password", "session", "token"]


@dataclass(frozen=True, slots=True)
class Login:
    """A caller and how it is known who that is. `next_token`: what the browser's cookie shall be from now on."""

    user: User
    way: Way
    session: Session | None = None
    token: str = ""


class Identification:
    """Asks the stores, which remember for a second or two what they have read."""

    def __init__(self, settings: Settings, accounts: Accounts, sessions: Sessions, tokens: AccessTokens,
                 audit: AuditLog, tries: LoginTries | None = None) -> None:
        """`tries`: where several fronts count them together."""
        self.credentials, self._audit = Credentials(accounts, shared=tries), audit
        self._settings, self._accounts, self._sessions, self._tokens = settings, accounts, sessions, tokens

    @property
    def is_open(self) -> bool:
        """Whether everybody who can ask is the local user: on this machine, as long as there are no accounts."""
        return self._settings.is_open and not self._accounts.exist

    async def login(self, scope: Scope, headers: Headers) -> Login | None:
        """None where the request says nothing of who sends it, or only by a cookie that has expired.

        Denied where it says something wrong; StorageError.
        """
        if self.is_open:
            return Login(LOCAL, "open")
        if authorization := headers.get("authorization", ""):
            kind, _, secret = authorization.partition(" ")
            if kind.casefold() == "bearer":
                return self._by_token(secret.strip())
            return Login(await self._by_password(authorization, (scope.get("client") or ("",))[0]), "password")
        return self._by_session(session_token(headers, self._settings.port))

    def holds(self, login: Login) -> bool:
        """Whether a stream that was opened by this login may go on."""
        if login.way == "open":
            return self.is_open
        if login.way == "session":
            return self._by_session(login.token) is not None
        if login.way == "token":
            return self._tokens.of(login.token) is not None and self._usable(login.user.id) is not None
        return self._usable(login.user.id) is not None

    async def _by_password(self, authorization: str, address: str) -> User:
        name = ""
        try:
            name = parse_basic(authorization)[0]
            user = (await self.credentials.account(authorization, address)).user
        except Denied as denied:
            await note_denied(self._audit, name, address, denied)
            raise
        await note_password(self._audit, name, address)
        return user

    def _by_token(self, secret: str) -> Login:
        token = self._tokens.of(secret)
        account = self._usable(token.owner) if token else None
        if token is None or account is None:
            raise unauthorized("This token does not hold")
        return Login(replace(account.user, role=token.allows(account.user.role)), "token", token=secret)

    def _by_session(self, token: str) -> Login | None:
        session = self._sessions.of(token) if token else None
        account = self._usable(session.owner) if session else None
        if session is None or account is None or account.stamp != session.stamp:
            return None
        return Login(account.user, "session", session, token)

    def _usable(self, user_id: str) -> Account | None:
        account = self._accounts.of(user_id)
        return account if account and not account.disabled else None


def session_token(headers: Headers, port: int) -> str:
    """What the browser's cookie holds, "" where there is none."""
    return cookie_parser(headers.get("cookie", "")).get(cookie_name(port), "")


def session_cookie(token: str, scope: Scope, port: int) -> str:
    """The header that gives a browser its session; an empty `token` takes it away."""
    return _cookie(cookie_name(port), token, scope, int(LONGEST.total_seconds()) if token else 0)


def left_cookie(left: bool, scope: Scope, port: int) -> str:
    """The header that lets a browser remember until its end, or forget, that somebody has logged out."""
    return _cookie(left_name(port), "1" if left else "", scope, None if left else 0)


def has_left(headers: Headers, port: int) -> bool:
    """Whether somebody has logged out with this browser, and nobody in since. A session that runs out is no logout."""
    return left_name(port) in cookie_parser(headers.get("cookie", ""))


def cookie_name(port: int) -> str:
    """Cookies know no ports: two Easels of one machine must not log each other's people out."""
    return f"easel_session_{port}"


def left_name(port: int) -> str:
    return f"easel_left_{port}"


def _cookie(name: str, value: str, scope: Scope, age: int | None) -> str:
    """For `age` seconds, 0 to take it away; None: until the browser ends."""
    secure = "; Secure" if scope.get("scheme") in ("https", "wss") else ""
    lasting = "" if age is None else f"; Max-Age={age}"
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{lasting}"


def denied_page(scope: Scope, headers: Headers) -> Denied | None:
    """For a browser that asks for a page without a login: the way to the login page."""
    wants = headers.get("sec-fetch-mode", "navigate") == "navigate" and "text/html" in headers.get("accept", "")
    if not wants or scope["type"] != "http" or scope["method"] != "GET":
        return None
    return Denied(303, "Log in first", {"Location": login_address(scope)})


def login_address(scope: Scope) -> str:
    """The login page, from which it goes on to what was asked for."""
    asked = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
    return "/login" + (f"?next={quote(asked)}" if asked != "/" else "")
