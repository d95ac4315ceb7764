"""Every route of the real application, page and Gradio included, as nobody, artist, another artist, viewer and admin."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI
from starlette.routing import BaseRoute, Mount
from starlette.testclient import TestClient

import ui
from backend import Backend, Settings
from backend.http import create_app
from backend.http.guard import LOOKS, LOOKS_BELOW, PROBES, SAFE_METHODS
from tests.pure.test_history import file
from tests.tiny.house import FakeCatalog

HERE = "http://127.0.0.1:7860"
PASSWORD = "a good password"
COOKIE = "easel_session_7860"
SECRET = "zebrafinch"           # in what ann has made, and nowhere else
PEOPLE = {"ann": "artist", "bob": "artist", "vera": "viewer", "ada": "admin"}
UNLOCKED = {"/easel/health", *PROBES[:2], "/login", "/join/{secret}", "/password/{secret}"}
# These go on until the client leaves; another's are 404 at once.
STREAMS = ("/api/events", "/easel/events", "/gradio_api/heartbeat", "/gradio_api/queue/data", "/gradio_api/startup-events")
# These wait for a picture of the caller's own, which nobody draws here.
WAITING = ("/sdapi/v1/", "/v1/images", "/controlnet/", "/easel/guides/", "/easel/interrogate", "/gradio_api/", "/api/plots", "/easel/plots/check", "/api/jobs", "/easel/faces")
# These answer that what was asked for is so, whosever an id is: nothing of another's is touched.
QUIET = ("/easel/history/", "/easel/boards/", "/easel/jobs/dismiss", "/internal/progress", "/sdapi/v1/interrupt")
FOR_ADMINS = ("/easel/audit", "/easel/people")
slow = partial(pytest.param, marks=pytest.mark.slow)
# What an admin may do that a test must survive, or that logs the walker out.
NOT_FOR_WALKERS = ("/sdapi/v1/server-", "/logout", "/login", "/account/password")


def walk(routes: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(method, path with its parameters in braces) of all routes, those of mounted applications too."""
    for route in routes:
        path = prefix + getattr(route, "path", "")
        if isinstance(route, Mount):
            yield from walk(route.routes or [], path)
        if included := getattr(route, "original_router", None):
            yield from walk(included.routes, prefix)
        yield from ((method, path) for method in getattr(route, "methods", None) or ())


class Walk:
    """The house, everybody's browser, and what is ann's in it."""

    def __init__(self, folder: Path, portal: BlockingPortal) -> None:
        """`portal`: the event loop that all requests are answered on; without one, each would start its own."""
        self.portal = portal
        (folder / "models").mkdir()
        self.house = Backend(Settings(data=folder / "data", models=(folder / "models",)), start_workers=False, catalog=FakeCatalog(folder))
        for name, role in PEOPLE.items():
            self.house.accounts.add(name, role, PASSWORD)
        self.app: FastAPI = ui.mount(create_app(self.house), self.house)
        self.routes = sorted(set(walk(self.app.routes)))
        self.browsers = {name: self.browser(name) for name in ("", *PEOPLE)}
        self.picture, self.ids = self._made_by_ann()
        self.before = self.anns()

    def browser(self, name: str = "") -> TestClient:
        client = TestClient(self.app, base_url=HERE, follow_redirects=False, raise_server_exceptions=True, headers={"Accept-Encoding": "identity"})
        client.portal = self.portal
        if name:
            assert client.post("/login", data={"name": name, "password": PASSWORD}).status_code == 303
        return client

    def _made_by_ann(self) -> tuple[bytes, list[str]]:
        ann = self.browsers["ann"]
        picture = file(5, text=f"a {SECRET}\nSteps: 7, Sampler: Euler, Seed: 5, Size: 64x72")
        image = ann.post("/easel/history/import?name=5.png", content=picture).json()["id"]
        upload = ann.post("/easel/upload", content=picture).json()["id"]
        job = ann.post("/easel/jobs", json={"prompt": f"a {SECRET}", "width": 64, "height": 64}).json()["id"]
        plot = ann.post("/easel/plots", json={"request": {"prompt": SECRET, "width": 64, "height": 64}, "axes": [{"label": "Steps", "values": "1,2"}]})
        board = ann.post("/easel/boards", json={"name": SECRET}).json()
        ann.post("/easel/styles", json={"name": SECRET, "prompt": SECRET})
        ann.post("/account/tokens", data={"name": SECRET, "scope": "read"})
        token = self.house.access_tokens.listed(self.house.accounts.named("ann").user.id)[0].id
        return picture, [image, upload, job, plot.json()["id"], board["id"], token]

    def anns(self) -> object:
        """What only ann may change."""
        door = self.house.as_(self.house.accounts.named("ann").user)
        ann = self.browsers["ann"]
        return ([(job.id, job.state) for job in door.jobs()], sorted(image.id for image in door.images()), door.preferences(), [job.id for job in door.queue()],
                ann.get("/easel/boards").json(), ann.get("/easel/styles").json(), ann.get("/easel/plots").json(), len(self.house.access_tokens.listed(door.user.id)))

    def paths(self, path: str) -> list[str]:
        """The path with each of ann's ids in the place of its parameters."""
        return [re.sub(r"\{[^}]+\}", one, path) for one in self.ids] if "{" in path else [path]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    with start_blocking_portal() as portal:
        place = Walk(tmp_path_factory.mktemp("walk"), portal)
        yield place
        place.house.close()


def test_the_walk_sees_every_kind_of_route(place: Walk) -> None:
    paths = {path for _, path in place.routes}
    assert {"/", "/sdapi/v1/txt2img", "/easel/image/{image}", "/easel/preview/{job}", "/easel/events", "/gradio_api/upload", "/login"} <= paths and len(place.routes) > 250


def test_nobody_and_who_has_only_a_forged_or_old_cookie_comes_nowhere(place: Walk) -> None:
    leaver = place.browser("bob")
    old = leaver.cookies[COOKIE]
    leaver.post("/logout")
    for cookie in ("", "forged", old):
        client = place.browser()
        client.cookies.set(COOKIE, cookie)
        opened = [(method, path) for method, path in place.routes if path not in UNLOCKED and client.request(method, place.paths(path)[0]).status_code != 401]
        assert opened == [], cookie
    assert place.anns() == place.before


@pytest.mark.parametrize("name", ["bob", slow("vera"), slow("ada")])
def test_nobody_reads_what_is_anothers(place: Walk, name: str) -> None:
    client = place.browsers[name]
    told = []
    for method, path in place.routes:
        if method != "GET" or path.startswith(STREAMS) or path in NOT_FOR_WALKERS:
            continue
        for each in place.paths(path):
            answer = client.get(each)
            if SECRET in answer.text or place.picture[:200] in answer.content:
                told.append(each)
    assert [one for one in told if not (name == "ada" and one.startswith(FOR_ADMINS))] == []


# What stands in a path and is no id of somebody's, or is a secret that whoever has it may use.
NO_IDS = ("/gradio_api/", "/login", "/join/", "/easel/networks/{kind}", "/api/models/{kind}", "/sdapi/v1/create/", "/sdapi/v1/train/", "/pwa_icon/",
          "/easel/extensions/", "/easel/preferences", "/assets/", "/static/", "/theme/", "/svelte/")
# What these need beside the id, so that it is the id that is answered for.
BESIDE = {"/easel/boards/{board}/share": {"users": ["bob"]}, "/easel/plots/{plot}/title": {"title": "mine"},
          "/easel/plots/{plot}/extend": {"axis": 0, "values": "3"}, "/easel/upload/{over}/sketch": {"paint": ""}}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bob", "ada"])
def test_anothers_id_is_one_that_is_not_there(place: Walk, name: str) -> None:
    client, others = place.browsers[name], []
    for method, path in place.routes:
        if "{" in path and method not in ("HEAD", "OPTIONS") and not path.startswith((*NO_IDS, *NOT_FOR_WALKERS)):
            query = {"over": place.ids[1]} if path.endswith("layer.png") else None
            body = BESIDE.get(path, {"id": place.ids[0], "ids": place.ids, "to": "front", "name": "x", "on": True, "images": place.ids})
            answers = {client.request(method, each, params=query, json=None if method == "GET" else body).status_code for each in place.paths(path)}
            others += [(method, path, answers)] if answers - {403, 404} else []
    assert others == []
    assert place.anns() == place.before


def test_anns_own_ids_reach_what_is_hers(place: Walk) -> None:
    """Otherwise the walk above would prove nothing."""
    ann = place.browsers["ann"]
    kinds = ("{image}", "{upload}", "{job}", "{plot}", "{board}")
    reached = [path for method, path in place.routes if method == "GET" and any(kind in path for kind in kinds) and not path.endswith("/events")
               and {200, 204, 422} & {ann.get(each).status_code for each in place.paths(path)}]
    assert [kind for kind in kinds if not any(kind in path for path in reached)] == ["{board}"] and len(reached) > 20


@pytest.mark.parametrize("name", ["bob", "ada"])
def test_anothers_id_in_a_body_or_a_question_is_one_that_is_not_there(place: Walk, name: str) -> None:
    client, (image, upload, job, plot, board, _) = place.browsers[name], place.ids
    size = {"width": 64, "height": 64}
    own = client.post("/easel/boards", json={"name": f"{name}s"}).json()["id"]
    unit = {"image": upload, "module": "canny", "model": "None"}
    asked = [
        ("POST", "/easel/jobs", {"init_image": upload, **size}), ("POST", "/api/jobs", {"init_image": upload, **size}),
        ("POST", "/api/jobs", {"process": "extras", "init_image": upload}), ("POST", "/easel/jobs", {"init_image": upload, "mask": upload, **size}),
        ("POST", "/easel/plots", {"request": {"init_image": upload, **size}, "axes": [{"label": "Steps", "values": "1,2"}]}),
        ("POST", "/api/plots", {"request": {"init_image": upload, **size}, "axes": [{"label": "Steps", "values": "1,2"}]}),
        ("POST", "/easel/guides/preview", unit), ("POST", "/easel/links", {"kind": "picture", "id": image}), ("POST", "/easel/links", {"kind": "plot", "id": plot}),
        *[("POST", f"/easel/boards/{own}/{what}", {"ids": [image]}) for what in ("add", "remove")],
        *[("POST", f"/easel/history/{what}", {"ids": [image], "on": True}) for what in ("bin", "restore", "star")],
        ("POST", "/easel/jobs/dismiss", {"ids": [job]}), ("GET", f"/easel/history/compare?a={image}&b={image}", None),
        ("GET", f"/easel/faces/similarity?a={image}&b={image}", None), ("GET", f"/easel/faces/located?picture={upload}", None),
        ("GET", f"/api/jobs?cursor={job}", None), ("GET", f"/api/images?cursor={image}", None), ("GET", f"/api/images?job={job}", None),
        ("GET", f"/easel/images?before={image}", None), ("GET", f"/easel/history?before={image}", None), ("GET", f"/easel/history?board={board}", None),
        ("GET", f"/easel/plots?before={plot}", None), ("GET", f"/api/plots?cursor={plot}", None), ("GET", f"/easel/links?id={image}", None),
        ("POST", "/internal/progress", {"id_task": job}), ("POST", f"/sdapi/v1/interrupt?force_task_id={job}", {}),
    ]
    for method, path, body in asked:
        answer = client.request(method, path, json=body)
        assert answer.status_code in (403, 404, 422) or SECRET not in answer.text and image not in answer.text and plot not in answer.text, (method, path, answer.text)
        assert method == "GET" or answer.status_code in (403, 404, 422) or path.startswith(QUIET), (path, answer.status_code, answer.text)
    client.post(f"/easel/boards/{own}/delete", json={})
    assert place.anns() == place.before
    assert place.house.as_(place.house.accounts.named(name).user).jobs() == []


@pytest.mark.parametrize("name", ["bob", slow("vera")])
def test_nobody_changes_what_is_anothers(place: Walk, name: str) -> None:
    client = place.browsers[name]
    for method, path in place.routes:
        if method not in SAFE_METHODS and not path.startswith(NOT_FOR_WALKERS) and ("{" in path or not path.startswith(WAITING)):
            for each in place.paths(path):
                answer = client.request(method, each, json={"id": place.ids[0], "ids": place.ids, "to": "front", "name": "x", "on": True})
                assert answer.status_code < 500 or answer.status_code in (501, 503, 507), (method, each, answer.text)
                assert SECRET not in answer.text, (method, each)
    assert place.anns() == place.before


def test_who_may_only_look_is_refused_whatever_changes_something(place: Walk) -> None:
    client = place.browsers["vera"]
    allowed = []
    for method, path in place.routes:
        if method not in SAFE_METHODS and not path.startswith(NOT_FOR_WALKERS):
            answer = client.request(method, place.paths(path)[0], json={})
            allowed += [path] if answer.status_code != 403 else []
    assert [path for path in allowed if path not in LOOKS and not path.startswith((*LOOKS_BELOW, "/join/"))] == []
    assert place.house.as_(place.house.accounts.named("vera").user).jobs() == []


def test_the_page_of_a_viewer_opens(place: Walk) -> None:
    assert "gradio" in place.browsers["vera"].get("/").text


def sent(client: TestClient, content: bytes) -> str:
    answer = client.post("/gradio_api/upload", files={"files": ("x.png", io.BytesIO(content), "image/png")})
    assert answer.status_code == 200
    return answer.json()[0]


def test_what_somebody_gave_to_gradio_no_other_can_ask_for(place: Walk) -> None:
    ann, bob = place.browsers["ann"], place.browsers["bob"]
    path = sent(ann, place.picture)
    assert ann.get(f"/gradio_api/file={path}").content == place.picture
    folder, name = path.rsplit("/", 1)
    for way in (f"file={path}", f"file/{path}", f"file={folder}/./{name}", f"file={folder}/x/../{name}", f"file={path.replace('/', '%2F')}", f"file=/{path}"):
        assert bob.get(f"/gradio_api/{way}").status_code in (403, 404), way
        assert bob.get(f"/{way}").status_code in (403, 404), way
    for text in (path, f"{folder}/./{name}"):
        for body in ({"data": [{"path": text}]}, {"data": [[{"x": text}]], "fn_index": 0}):
            for route in ("run/predict", "queue/join", "api/predict", "call/predict"):
                assert bob.post(f"/gradio_api/{route}", json=body).status_code == 404, route
                assert bob.post(f"/gradio_api/{route}", content=repr(body).replace("'", '"').encode("utf-16")).status_code in (400, 404, 422), route
    assert bob.get(f"/gradio_api/file={place.house.settings.database}").status_code in (403, 404)
    sent(bob, place.picture)        # the path is made of the content
    assert bob.get(f"/gradio_api/file={path}").content == place.picture, "it is bob's too now"


def test_no_secret_reaches_a_log(place: Walk, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)
    client = place.browser("ann")
    secret = place.house.access_tokens.make(place.house.accounts.named("ann").user.id, "logged", ["read"])
    link = place.house.invitations.make("viewer")
    client.get("/easel/jobs", headers={"Authorization": f"Bearer {secret}"})
    client.get("/easel/jobs", auth=("ann", PASSWORD))
    client.get(f"/join/{link}")
    client.post(f"/join/{link}", data={"name": "a:b", "password": PASSWORD, "again": PASSWORD})
    client.post("/login", data={"name": "ann", "password": "wrong but mine"})
    logged = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("httpx")) + "".join(capfd.readouterr())
    assert not [word for word in (secret, link, PASSWORD, "wrong but mine", client.cookies.get(COOKIE) or "-") if word in logged]
    assert PASSWORD not in repr(place.house.settings) + repr(place.house.accounts.all()) and "argon2" not in repr(place.house.accounts.all())
