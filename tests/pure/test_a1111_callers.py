"""Callers of AUTOMATIC1111's API side by side: options, progress and pictures of each are its own; who may stop Easel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from backend.http import create_app
from backend.settings import Settings
from tests.pure.a1111_payloads import BLENDER, SMALL
from tests.pure.door import Door
from tests.pure.test_a1111_routes import until
from tests.pure.test_http import LOCAL, app, client, door, fields

__all__ = ["app", "client", "door"]
SD = "/sdapi/v1"
T = f"{SD}/txt2img"
LOGINS = {"ann": "secret a", "bob": "secret b"}
LACKING: list[tuple[str, dict[str, Any], str, str]] = [
    (T, {"override_settings": {"token_merging_ratio": 0.5}}, "override_settings.token_merging_ratio", "override_settings.token_merging_ratio"),
    (T, {"enable_hr": True, "firstpass_image": "x"}, "firstpass_image", "firstpass_image"),
    (T, {"script_name": "Ultimate"}, "script_name", "script_name"), (T, {"alwayson_scripts": {"AnimateDiff": {"args": [True]}}}, "alwayson_scripts.AnimateDiff", "alwayson_scripts.AnimateDiff"),
    (T, {"alwayson_scripts": {"ADetailer": {"args": [True, False, {"ad_model": "face_yolov8n.pt", "ad_use_vae": True}]}}},
     "alwayson_scripts.ADetailer.args.2.ad_use_vae", "alwayson_scripts.ADetailer.args.2.ad_use_vae"),
    (f"{SD}/img2img", {**BLENDER, "script_name": "Loopback", "script_args": [2, 0.5, "Linear", "CLIP"]}, "script_args.3", "script_args.3"),
    (f"{SD}/img2img", {**BLENDER, "alwayson_scripts": {"Soft Inpainting": {"args": [True, 2]}}}, "alwayson_scripts.Soft Inpainting.1",
     "alwayson_scripts.Soft Inpainting.1"),
]


# ---- what Easel lacks ----


@pytest.mark.parametrize("path, payload, field, told", LACKING, ids=[told for *_, told in LACKING])
def test_what_is_lacking_is_refused_or_passed_over_as_the_client_says(client: TestClient, path: str, payload: dict[str, Any], field: str, told: str) -> None:
    payload = {**SMALL, **payload}
    assert fields(client.post(path, json=payload)) == [field] == fields(client.post(path, json=payload, headers={"X-Easel-Unknown": "refuse"}))
    answer = client.post(path, json=payload, headers={"X-Easel-Unknown": "Ignore"})
    assert answer.status_code == 200, answer.text
    assert told in json.loads(answer.json()["info"])["passed_over"]


def test_what_is_wrong_is_refused_all_the_same(client: TestClient) -> None:
    sent = {**SMALL, "sampler_name": "none such", "override_settings": {"token_merging_ratio": 0.5}}
    assert fields(client.post(T, json=sent, headers={"X-Easel-Unknown": "ignore"})) == ["sampler"]
    assert fields(client.post(T, json=SMALL, headers={"X-Easel-Unknown": "perhaps"})) == ["X-Easel-Unknown"]


def test_an_option_that_is_lacking_is_kept_and_told_with_every_picture(client: TestClient) -> None:
    lenient = {"X-Easel-Unknown": "ignore"}
    assert client.post(f"{SD}/options", json={"token_merging_ratio": 0.5}, headers=lenient).status_code == 200
    assert client.get(f"{SD}/options").json()["token_merging_ratio"] == 0.5
    assert json.loads(client.post(T, json=SMALL).json()["info"])["passed_over"] == ["options.token_merging_ratio"]
    client.post(f"{SD}/options", json={"token_merging_ratio": 0})
    assert json.loads(client.post(T, json=SMALL).json()["info"])["passed_over"] == []


@pytest.mark.parametrize("rule, login, program, status", [
    ("SillyTavern", None, "node; sillytavern/1.12", 200), ("SillyTavern", None, "curl/8", 422), ("ann", "ann", "curl/8", 200), ("ann", "bob", "curl/8", 422),
])
def test_the_operator_may_say_it_for_a_client(tmp_path: Path, rule: str, login: str | None, program: str, status: int) -> None:
    door = Door(Settings(data=tmp_path, ignore_unknown=(rule,), users=LOGINS if login else {}))
    with TestClient(create_app(door), base_url=LOCAL, headers={"User-Agent": program}) as client:
        sent = {**SMALL, "override_settings": {"token_merging_ratio": 0.5}}
        answer = client.post(T, json=sent, auth=(login, LOGINS[login]) if login else None)
        assert answer.status_code == status


# ---- two at once ----


class Two:
    """Two callers of one Easel, by their logins or by their programs."""

    def __init__(self, server: TestClient, door: Door, logins: bool) -> None:
        self.door, self.pool = door, ThreadPoolExecutor(4)
        door.at_once = False
        self.clients = [self._client(server, name, logins) for name in LOGINS]

    @staticmethod
    def _client(server: TestClient, name: str, logins: bool) -> TestClient:
        client = TestClient(server.app, base_url=LOCAL, headers={} if logins else {"X-Easel-Client": name})
        client.portal, client.auth = server.portal, (name, LOGINS[name]) if logins else None
        return client

    def draw(self, number: int, **values: Any) -> Any:
        before = len(self.door.all)
        answer = self.pool.submit(self.clients[number].post, T, json={**SMALL, **values})
        until(lambda: len(self.door.all) > before)
        return answer


@pytest.fixture(params=[True, False], ids=["logins", "anonymous"])
def two(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Two]:
    door = Door(Settings(data=tmp_path, users=LOGINS if request.param else {}))
    with TestClient(create_app(door), base_url=LOCAL) as server:
        two = Two(server, door, request.param)
        yield two
        for job in list(door.all.values()):
            if job.state in ("queued", "running"):
                door.finish(job)
        two.pool.shutdown()


def test_options_reach_nobody_else(two: Two) -> None:
    ann, bob = two.clients
    for step, (caller, skip, theme) in enumerate([(ann, 2, "red"), (bob, 3, "blue"), (ann, 4, "green"), (bob, 5, "grey")]):
        other = (ann, bob)[step % 2 == 0]
        before = other.get(f"{SD}/options").json()
        assert caller.post(f"{SD}/options", json={"CLIP_stop_at_last_layers": skip, "gradio_theme": theme, "mine": step}).status_code == 200
        assert other.get(f"{SD}/options").json() == before
        told = caller.get(f"{SD}/options").json()
        assert (told["CLIP_stop_at_last_layers"], told["gradio_theme"], told["mine"]) == (skip, theme, step)
    two.draw(0)
    two.draw(1)
    two.draw(0, override_settings={"CLIP_stop_at_last_layers": 7}, override_settings_restore_afterwards=False)
    assert [job.request.clip_skip for job in two.door.all.values()] == [4, 5, 7]


def test_progress_tasks_and_interrupts_are_each_callers_own(two: Two) -> None:
    ann, bob = two.clients
    first = two.draw(0, prompt="ann's", force_task_id="task(a)")
    second = two.draw(1, prompt="bob's", n_iter=3, force_task_id="task(b)")
    two.door.live = lambda job, owner="": SimpleNamespace(
        job=job, index=0, done=0, count=1, step=1, steps=2, fraction=0.25 if two.door.all[job].request.prompt == "ann's" else 0.5,
        eta=1.0, preview=1, message=two.door.all[job].request.prompt)
    for _ in range(2):
        for caller, text, count, task in ((ann, "ann's", 1, "task(a)"), (bob, "bob's", 3, "task(b)")):
            told = caller.get(f"{SD}/progress").json()
            assert (told["textinfo"], told["state"]["job_count"], told["current_task"]) == (text, count, task)
            assert caller.get("/internal/pending-tasks").json() == {"size": 1, "tasks": [task]}
    bob.post(f"{SD}/interrupt")
    assert json.loads(second.result(timeout=20).json()["info"])["notes"] and not first.done()
    resting = bob.get(f"{SD}/progress").json()
    assert resting["state"]["job"] == "" and resting["current_task"] is None and bob.post(f"{SD}/skip").json() is None
    assert [job.state for job in two.door.all.values()] == ["running", "cancelled"]
    assert "ann" not in bob.get(f"{SD}/progress").text and "ann" not in bob.get("/internal/pending-tasks").text
    ann.post(f"{SD}/interrupt")
    assert first.result(timeout=20).status_code == 200


# ---- who may stop Easel ----


@pytest.mark.parametrize("settings, login, status", [
    ({}, None, 404), ({"api_server_stop": True}, None, 200), ({"users": LOGINS, "admins": ("ann",)}, "ann", 200),
    ({"users": LOGINS, "admins": ("ann",), "api_server_stop": True}, "bob", 403),
])
@pytest.mark.parametrize("path, again", [("server-stop", False), ("server-kill", False), ("server-restart", True)])
def test_admins_or_whoever_the_operator_allows_may_stop_it(
    tmp_path: Path, settings: dict[str, Any], login: str | None, status: int, path: str, again: bool
) -> None:
    door = Door(Settings(data=tmp_path, **settings))
    app: FastAPI = create_app(door)
    stopped: list[bool] = []
    app.state.stop = lambda start_again=False: stopped.append(start_again)
    with TestClient(app, base_url=LOCAL) as client:
        answer = client.post(f"{SD}/{path}", auth=(login, LOGINS[login]) if login else None)
        assert (answer.status_code, stopped) == (status, [again] if status == 200 else [])
