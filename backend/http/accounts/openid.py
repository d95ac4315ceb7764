"""Logging in with an OpenID provider: authlib asks it, and checks what it answers.

Nothing is asked for before somebody presses the button. What the flow has to remember (state, nonce, the code's
verifier) stays here, for minutes; the browser holds a cookie that names it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.starlette_client import OAuth, StarletteOAuth2App
from fastapi import APIRouter
from joserfc.errors import JoseError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from backend.errors import EaselError
from backend.http.accounts.account_pages import here, page, translated
from backend.http.accounts.login import logged_in, own_path
from backend.http.accounts.login_audit import note_login
from backend.settings import OpenID
from backend.store.accounts import Account, Accounts
from backend.store.bearer_secrets import new_secret

COOKIE = "easel_openid"
MINUTES = 10            # somebody may take to log in there
MOST = 1000             # logins that are under way
router = APIRouter(include_in_schema=False)


class Provider:
    """One provider, and the logins that are under way there."""

    def __init__(self, settings: OpenID, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        """`transport`: how it is reached, if not by the network."""
        self.settings = settings
        self._pending: OrderedDict[str, tuple[float, dict[str, Any]]] = OrderedDict()
        more = {"transport": transport} if transport else {}
        self.client: StarletteOAuth2App = OAuth().register(
            "provider", client_id=settings.client, client_secret=settings.secret,
            server_metadata_url=f"{settings.issuer}/.well-known/openid-configuration",
            client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256", **more})

    def remember(self, told: dict[str, Any]) -> str:
        """What a flow needs later, by a secret for its browser."""
        key = new_secret()
        self._pending[key] = time.monotonic(), told
        while len(self._pending) > MOST:
            self._pending.popitem(last=False)
        return key

    def recall(self, key: str) -> dict[str, Any]:
        """Once; {} when it took too long or never was."""
        began, told = self._pending.pop(key, (float("-inf"), {}))
        return told if time.monotonic() - began < 60 * MINUTES else {}


@router.get("/login/openid")
async def begin(request: Request, next: str = "/") -> Response:
    """Sends the browser to the provider."""
    provider: Provider = request.app.state.openid
    request.scope["session"] = told = {"next": own_path(next)}
    back = f"{here(request)}/login/openid/back"
    try:
        answer = await provider.client.authorize_redirect(request, back)
    except (AuthlibBaseError, httpx2.HTTPError, ValueError):
        why = "The provider does not answer. Log in with name and password, or try again."
        return await _failed(request, why, 502)
    # It has to come back from another site, by a link: Lax allows that.
    answer.set_cookie(COOKIE, provider.remember(told), 60 * MINUTES, path="/login", httponly=True, samesite="lax",
                      secure=request.url.scheme == "https")
    answer.headers["Cache-Control"] = "no-store"
    return answer


@router.get("/login/openid/back")
async def finish(request: Request) -> Response:
    """The browser comes back from the provider, and is logged in as whom it names."""
    provider: Provider = request.app.state.openid
    told = provider.recall(request.cookies.get(COOKIE, ""))
    if not told:
        return await _failed(request, "That took too long, or was begun in another browser. Try again.")
    request.scope["session"] = told
    try:
        claims = (await provider.client.authorize_access_token(request))["userinfo"]
        accounts = request.app.state.backend.accounts
        account, is_new = await run_in_threadpool(account_of, claims, provider.settings, accounts)
    except (AuthlibBaseError, JoseError, httpx2.HTTPError, KeyError, ValueError):
        return await _failed(request, "The provider did not say who you are. Try again.")
    except EaselError as error:
        return await _failed(request, str(error), 403)
    if account is None:
        why = "You are known there, and have no account of this Easel. Ask its admin for one."
        return await _failed(request, why, 403)
    if is_new:
        await note_login(request, "join", account.user.name, f"as {account.user.role}")
    return await logged_in(request, account, told["next"])


def account_of(claims: dict[str, Any], settings: OpenID, accounts: Accounts) -> tuple[Account | None, bool]:
    """The account of whom the provider names, and whether it is a new one; None where there is none or is closed.

    The provider's own number for a person counts, not the name: names there may change hands. InvalidRequest,
    NotAllowed where another account has the name.
    """
    subject = f"{settings.issuer} {claims['sub']}"
    if account := accounts.of_subject(subject):
        return None if account.disabled else account, False
    if not settings.role:
        return None, False
    user = accounts.new_user(str(claims.get(settings.name_claim) or claims["sub"]))
    with accounts.changing() as session:
        accounts.insert(session, user, settings.role, "", subject)
    return accounts.existing(user.id), True


async def _failed(request: Request, why: str, status: int = 400) -> Response:
    await note_login(request, "failed login", "", why)
    return page(request, "gone.html", status, problem=translated(request, why))
