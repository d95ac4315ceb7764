"""Behind a reverse proxy: whom Easel believes, and every address below a path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from backend.flags import Refusal, parser, settings_from
from backend.http import create_app
from backend.http.proxy import Proxy
from backend.settings import Settings
from tests.pure.door import Door

FORWARDED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "pictures.example"}
PREFIXES = ("", "/easel", "/a/b-c")


def inside(request: Request) -> JSONResponse:
    """What is told to everything within."""
    return JSONResponse({"client": request.client.host, "url": str(request.url), "root": request.scope["state"]["root_path"],
                         "headers": [name for name in request.headers if name.startswith("x-") or name == "forwarded"]})


def away(request: Request) -> RedirectResponse:
    return RedirectResponse("/easel/login")


def asked(path: str = "/", headers: dict[str, str] | None = None, *, peer: str = "10.1.2.3", **settings: object) -> dict[str, object]:
    app = Starlette(routes=[Route("/{path:path}", inside)], middleware=[Middleware(Proxy, settings=Settings(**settings))])
    return TestClient(app, client=(peer, 1), base_url="http://inner:7860").get(path, headers=headers).json()


def test_nobody_is_believed_by_default() -> None:
    told = asked(headers=FORWARDED | {"X-Forwarded-Prefix": "/x", "X-Gradio-Server": "http://evil.example", "Forwarded": "for=1.1.1.1"},
                 peer="127.0.0.1")
    assert told == {"client": "127.0.0.1", "url": "http://inner:7860/", "root": "", "headers": []}


@pytest.mark.parametrize("proxy", ["10.1.2.3", "10.0.0.0/8"])
def test_a_trusted_proxy_is_believed(proxy: str) -> None:
    assert asked(headers=FORWARDED, trusted_proxies=(proxy,)) == {
        "client": "203.0.113.9", "url": "https://pictures.example/", "root": "", "headers": []}


@pytest.mark.parametrize("chain, client", [
    ("1.1.1.1, 203.0.113.9", "203.0.113.9"),                  # what the client itself claims stands in front
    ("127.0.0.1, 203.0.113.9", "203.0.113.9"),
    ("1.1.1.1, 203.0.113.9, 10.9.9.9", "203.0.113.9"),        # another trusted proxy on the way
    ("2001:db8::7", "2001:db8::7"), ("", "10.1.2.3"),
])
def test_the_last_address_that_no_trusted_proxy_has_is_the_client(chain: str, client: str) -> None:
    assert asked(headers={"X-Forwarded-For": chain}, trusted_proxies=("10.0.0.0/8",))["client"] == client


@pytest.mark.parametrize("headers", [
    {"X-Forwarded-Host": "evil.example/x"}, {"X-Forwarded-Host": "a b"}, {"X-Forwarded-Proto": "javascript"},
    {"X-Forwarded-Prefix": "//evil.example"}, {"X-Forwarded-Prefix": "/../x"}, {"X-Forwarded-Prefix": "/a\"><script>"},
    {"X-Forwarded-Prefix": "x"},
])
def test_what_cannot_be_an_address_is_passed_over(headers: dict[str, str]) -> None:
    told = asked(headers=headers, trusted_proxies=("10.0.0.0/8",))
    assert (told["url"], told["root"]) == ("http://inner:7860/", "")


def test_a_path_is_the_same_inside_with_and_without_the_root_path() -> None:
    for path in ("/easel/easel/jobs", "/sdapi/v1/options", "/easel/sdapi/v1/options"):
        told = asked(path, root_path="/easel")
        assert told["root"] == "/easel"
        assert told["url"] == "http://inner:7860" + path.removeprefix("/easel")
    assert asked("/easelx/y", root_path="/easel")["url"] == "http://inner:7860/easelx/y"
    stripped = asked("/easel/jobs", {"X-Forwarded-Prefix": "/easel"}, root_path="/easel", trusted_proxies=("10.0.0.0/8",))
    assert (stripped["url"], stripped["root"]) == ("http://inner:7860/easel/jobs", "/easel")


def test_redirects_stay_below_the_root_path() -> None:
    app = Starlette(routes=[Route("/", away)], middleware=[Middleware(Proxy, settings=Settings(root_path="/easel"))])
    client = TestClient(app, base_url="http://inner", follow_redirects=False)
    assert client.get("/easel/").headers["location"] == "/easel/easel/login"
    for past in ("/easel?a=1", "/?a=1"):
        bare = client.get(past)
        assert (bare.status_code, bare.headers["location"]) == (307, "/easel/?a=1")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    import ui

    door = Door(Settings(data=tmp_path_factory.mktemp("data"), trusted_proxies=("10.0.0.0/8",)))
    return ui.mount(create_app(door), door, path="/")


@pytest.fixture
def proxied(house: FastAPI) -> Iterator[TestClient]:
    yield TestClient(house, base_url="http://127.0.0.1:7860", client=("10.1.2.3", 1))


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_pages_name_nothing_outside_the_root_path(proxied: TestClient, prefix: str) -> None:
    for page in ("/", "/docs"):
        text = proxied.get(page, headers={"X-Forwarded-Prefix": prefix}).text
        assert not re.findall(r"""(?:src|href|action|url)\s*[=:]\s*["'`]/[^"'`]*""", text.partition("window.gradio_config")[0])
        assert not re.findall(r"""(?:fetch|ask|post)\(["'`]/easel[^"'`]*""", text.partition("window.gradio_config")[0])
    root = re.search(r'"root": ?"([^"]*)"', proxied.get("/", headers={"X-Forwarded-Prefix": prefix}).text)[1]
    assert root == f"http://127.0.0.1:7860{prefix}"


@pytest.mark.slow
@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_address_of_the_page_answers_below_the_root_path(proxied: TestClient, prefix: str) -> None:
    headers = {"X-Forwarded-Prefix": prefix}
    text = proxied.get("/", headers=headers).text
    addresses = [name for name in re.findall(r'(?:src|href)="\.(/[^"]+)"', text) if "disabled" not in name]
    assert any(name.startswith("/easel/assets/") for name in addresses) and any(name.startswith("/assets/") for name in addresses)
    for name in addresses:
        assert proxied.get(name, headers=headers).status_code == 200, name
    servers = proxied.get("/openapi.json", headers=headers).json().get("servers", [])
    assert [server["url"] for server in servers] == ([prefix] if prefix else [])
    assert proxied.get("/easel/jobs", headers=headers).status_code == 200
    assert proxied.post("/gradio_api/queue/join", headers=headers, json={}).status_code == 422


@pytest.mark.parametrize("flags", [["--root-path", "easel"], ["--root-path", "//x"], ["--root-path", "/a/../b"],
                                   ["--trusted-proxy", "*"], ["--trusted-proxy", "10.0.0.1/8"], ["--trusted-proxy", "proxy"]])
def test_flags_that_cannot_be_are_refused(flags: list[str], tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=flags[0]):
        settings_from(parser().parse_args(["--data", str(tmp_path), *flags]), {})


def test_flags(tmp_path: Path) -> None:
    flags = ["--data", str(tmp_path), "--root-path", "/easel/", "--trusted-proxy", "127.0.0.1", "--trusted-proxy", "172.16.0.0/12"]
    settings = settings_from(parser().parse_args(flags), {})
    assert (settings.root_path, settings.trusted_proxies) == ("/easel", ("127.0.0.1/32", "172.16.0.0/12"))
