"""Logging in with an OpenID provider: a stand-in in this process signs what a real one would."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from backend import Backend, Settings
from backend.flags import Refusal, parser, settings_from
from backend.http import create_app
from backend.http.accounts.openid import Provider
from backend.settings import OpenID

ISSUER = "https://id.example"
HERE = "http://127.0.0.1:7860"
OPENID = OpenID(issuer=ISSUER, client="easel", secret="the client's secret", role="artist")


KEY, ANOTHER = (RSAKey.generate_key(2048, {"kid": "one"}, private=True) for _ in range(2))


class StandIn:
    """A provider where `who` is logged in."""

    def __init__(self) -> None:
        self.who: dict[str, Any] = {"sub": "7", "preferred_username": "olga"}
        self.changes: dict[str, Any] = {}
        self.asked: list[str] = []
        self.nonce = self.challenge = ""
        self.app = Starlette(routes=[
            Route("/.well-known/openid-configuration", self.metadata), Route("/token", self.token, methods=["POST"]), Route("/keys", self.keys)])

    async def metadata(self, request: Request) -> JSONResponse:
        self.asked.append("metadata")
        return JSONResponse({"issuer": ISSUER, "authorization_endpoint": f"{ISSUER}/authorize", "token_endpoint": f"{ISSUER}/token",
                             "jwks_uri": f"{ISSUER}/keys", "id_token_signing_alg_values_supported": ["RS256"]})

    async def keys(self, request: Request) -> JSONResponse:
        return JSONResponse({"keys": [KEY.as_dict(private=False)]})

    async def token(self, request: Request) -> JSONResponse:
        sent = dict(await request.form())
        self.asked.append(f"token {sent['code']} {'verified' if sent.get('code_verifier') else ''}")
        claims = {"iss": ISSUER, "aud": "easel", "iat": int(time.time()), "exp": int(time.time()) + 60, "nonce": self.nonce, **self.who, **self.changes}
        key = ANOTHER if self.changes.get("forged") else KEY
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": jwt.encode({"alg": "RS256", "kid": "one"}, claims, key)})


@pytest.fixture
def provider() -> StandIn:
    return StandIn()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Backend]:
    (tmp_path / "models").mkdir()
    house = Backend(Settings(data=tmp_path / "data", models=(tmp_path / "models",), oidc=OPENID), start_workers=False)
    house.accounts.add("ada", "admin", "a good password")
    yield house
    house.close()


@pytest.fixture
def client(house: Backend, provider: StandIn) -> Iterator[TestClient]:
    app = create_app(house)
    app.state.openid = Provider(OPENID, httpx2.ASGITransport(app=provider.app))
    with TestClient(app, base_url=HERE, follow_redirects=False) as client:
        yield client


def there_and_back(client: TestClient, provider: StandIn, **changes: str) -> httpx2.Response:
    sent = client.get("/login/openid?next=/easel/history")
    query = {name: values[0] for name, values in parse_qs(urlsplit(sent.headers["location"]).query).items()}
    assert sent.headers["location"].startswith(f"{ISSUER}/authorize") and query["redirect_uri"] == f"{HERE}/login/openid/back"
    assert query["code_challenge_method"] == "S256" and query["response_type"] == "code" and "openid" in query["scope"]
    provider.nonce = query["nonce"]
    return client.get("/login/openid/back", params={"code": "abc", "state": query["state"], **changes})


def test_the_provider_says_who_comes_and_a_new_one_gets_an_account(client: TestClient, provider: StandIn, house: Backend) -> None:
    assert "/login/openid?next=" in client.get("/login").text and provider.asked == [], "nothing is asked before somebody wants it"
    back = there_and_back(client, provider)
    assert back.status_code == 303 and back.headers["location"] == "/easel/history"
    assert client.get("/easel/me").json() == {"name": "olga", "role": "artist", "logged_in": True}
    assert provider.asked == ["metadata", "token abc verified"]
    provider.who["preferred_username"] = "olga after a wedding"
    client.cookies.clear()
    there_and_back(client, provider)
    joined, = house.audit_log.page("join")
    assert (joined.actor, joined.action, joined.detail) == ("olga", "join", "as artist") and house.audit_log.page("login")[-1].number > joined.number
    assert client.get("/easel/me").json()["name"] == "olga", "the provider's number tells who it is"
    house.accounts.set_disabled("olga", True)
    client.cookies.clear()
    assert there_and_back(client, provider).status_code == 403
    assert client.post("/login", data={"name": "olga", "password": ""}).status_code == 401


def test_nobody_takes_over_an_account_by_its_name(client: TestClient, provider: StandIn, house: Backend) -> None:
    provider.who = {"sub": "666", "preferred_username": "ada"}
    refused = there_and_back(client, provider)
    assert refused.status_code == 403 and "taken" in refused.text and client.get("/easel/me").status_code == 401


def test_who_has_no_account_is_refused_where_none_is_made(client: TestClient, provider: StandIn, house: Backend) -> None:
    client.app.state.openid.settings = replace(OPENID, role="")
    assert there_and_back(client, provider).status_code == 403 and [each.user.name for each in house.accounts.all()] == ["ada"]


@pytest.mark.parametrize("changes", [{"forged": True}, {"aud": "another"}, {"iss": "https://evil.example"}, {"nonce": "old"}, {"exp": 1}])
def test_what_is_not_the_providers_word_for_this_easel_now_is_refused(client: TestClient, provider: StandIn, changes: dict[str, Any]) -> None:
    provider.changes = changes
    assert there_and_back(client, provider).status_code == 400 and client.get("/easel/me").status_code == 401


def test_an_answer_belongs_to_the_browser_that_asked_and_holds_once(client: TestClient, provider: StandIn) -> None:
    assert there_and_back(client, provider, state="another").status_code == 400
    assert there_and_back(client, provider).status_code == 303
    client.cookies.clear()
    assert client.get("/login/openid/back", params={"code": "abc", "state": "x"}).status_code == 400, "begun in another browser"
    assert there_and_back(client, provider, error="access_denied").status_code == 400


def test_a_provider_that_is_not_there_is_told(client: TestClient) -> None:
    def away(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("away")

    client.app.state.openid = Provider(OPENID, httpx2.MockTransport(away))
    assert client.get("/login/openid").status_code == 502


@pytest.mark.parametrize(("flags", "environment", "why"), [
    (["--oidc-issuer", ISSUER], {}, "EASEL_OIDC_CLIENT_ID"),
    (["--oidc-issuer", "http://id.example"], {"EASEL_OIDC_CLIENT_ID": "easel", "EASEL_OIDC_CLIENT_SECRET": "x"}, "https://"),
])
def test_a_provider_that_cannot_be_is_refused_at_the_start(tmp_path: Path, flags: list[str], environment: dict[str, str], why: str) -> None:
    with pytest.raises(Refusal, match=why):
        settings_from(parser().parse_args([*flags, "--data", str(tmp_path)]), environment)


def test_the_flags_name_a_provider(tmp_path: Path) -> None:
    flags = ["--oidc-issuer", f"{ISSUER}/", "--oidc-claim", "email", "--oidc-new", "viewer", "--data", str(tmp_path)]
    made = settings_from(parser().parse_args(flags), {"EASEL_OIDC_CLIENT_ID": "easel", "EASEL_OIDC_CLIENT_SECRET": "hidden"})
    assert made.oidc == OpenID(issuer=ISSUER, client="easel", secret="hidden", name_claim="email", role="viewer")
    assert "hidden" not in repr(made) and not made.is_open
