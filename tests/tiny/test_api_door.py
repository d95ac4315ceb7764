"""/api, the modern door, on a whole house with a fake worker."""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from backend.http.api.images import negotiated
from tests.tiny.house import until
from tests.tiny.served import served

SMALL = {"prompt": "a lighthouse", "width": 64, "height": 64, "seed": 5}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with served(tmp_path_factory.mktemp("house")) as (address, _), httpx.Client(base_url=address, timeout=60) as client:
        yield client


def png(colour: str = "teal", mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (64, 64), colour).save(out, "PNG")
    return out.getvalue()


def drawn(client: httpx.Client, **values: Any) -> dict[str, Any]:
    answer = client.post("/api/jobs", params={"wait": 30}, json={**SMALL, **values})
    assert answer.status_code == 201, answer.text
    return answer.json()


def problem(answer: httpx.Response, status: int) -> list[str]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert {"type", "title", "status", "detail", "instance", "errors"} == told.keys() and told["status"] == status
    assert told["detail"]
    return [one["field"] for one in told["errors"]]


def events(client: httpx.Client, path: str, last: str = "") -> list[tuple[str, str, dict[str, Any]]]:
    """(id, name, data) of a stream that ends."""
    with client.stream("GET", path, headers={"Last-Event-ID": last} if last else {}) as answer:
        frames = [dict(line.split(": ", 1) for line in frame.split("\n") if not line.startswith(":"))
                  for frame in "".join(answer.iter_text()).strip().split("\n\n")]
    return [(frame.get("id", ""), frame["event"], json.loads(frame["data"])) for frame in frames if "event" in frame]


def test_a_job_is_queued_waited_for_and_told(client: httpx.Client) -> None:
    answer = client.post("/api/jobs", params={"wait": 30}, json=SMALL)
    job = answer.json()
    assert answer.status_code == 201 and answer.headers["location"] == f"/api/jobs/{job['id']}"
    assert job["state"] == "done" and job["request"]["seed"] == 5 and job["position"] is None
    (image,) = job["images"]
    assert image["url"] == f"/api/images/{image['id']}" and image["seed"] == 5
    assert client.get(f"/api/jobs/{job['id']}").json() == job


def test_every_wrong_field_is_named_by_its_own_name(client: httpx.Client) -> None:
    wrong = {"steps": 0, "sampler": "nothing", "color": 1, "guides": [{"weight": "x"}]}
    assert {"steps", "sampler", "color", "guides[0].weight"} == set(problem(client.post("/api/jobs", json=wrong), 422))
    assert problem(client.post("/api/jobs", json={"template": "x"}), 422) == ["template"]
    assert problem(client.post("/api/jobs", content=b"{"), 422) == []
    assert problem(client.post("/api/jobs", json=SMALL, params={"wait": 1e9}), 422) == ["wait"]


def too_large(client: httpx.Client) -> httpx.Response:
    """The answer to the head of a request that says how large it is going to be."""
    with closing(http.client.HTTPConnection(client.base_url.host, client.base_url.port)) as connection:
        connection.putrequest("POST", "/api/uploads")
        connection.putheader("Content-Length", str(2**40))
        connection.endheaders()
        answer = connection.getresponse()
        return httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())


def test_errors_have_one_shape(client: httpx.Client) -> None:
    job = drawn(client)["id"]
    for answer, status in ((client.get("/api/jobs/none"), 404), (client.get("/api/nowhere"), 404), (client.put("/api/jobs"), 405),
                           (client.post(f"/api/jobs/{job}/cancel"), 409), (client.get("/api/images/none"), 404),
                           (client.get("/api/jobs", headers={"Host": "evil.example"}), 403), (too_large(client), 413)):
        assert problem(answer, status) == []
    assert client.get("/easel/image/none").headers["content-type"] == "application/json"


def test_a_request_sent_again_under_its_key_queues_once(client: httpx.Client) -> None:
    key = {"Idempotency-Key": "order 66"}
    first, second = (client.post("/api/jobs", json=SMALL, headers=key) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200) and first.json()["id"] == second.json()["id"]
    assert problem(client.post("/api/jobs", json={**SMALL, "steps": 3}, headers=key), 422) == ["Idempotency-Key"]
    other = client.post("/api/jobs", json=SMALL, headers={"Idempotency-Key": "order 67"})
    assert other.status_code == 201 and other.json()["id"] != first.json()["id"]
    assert problem(client.post("/api/jobs", json={"steps": 0}, headers={"Idempotency-Key": "wrong"}), 422) == ["steps"]
    assert client.post("/api/jobs", json=SMALL, headers={"Idempotency-Key": "wrong"}).status_code == 201
    client.delete(f"/api/jobs/{other.json()['id']}")
    problem(client.post("/api/jobs", json=SMALL, headers={"Idempotency-Key": "order 67"}), 409)


def test_the_list_comes_in_pages(client: httpx.Client) -> None:
    made = [drawn(client)["id"] for _ in range(3)]
    first = client.get("/api/jobs", params={"limit": 2, "state": "done"}).json()
    assert [job["id"] for job in first["jobs"]] == made[:0:-1]
    second = client.get("/api/jobs", params={"limit": 2, "state": "done", "cursor": first["next_cursor"]}).json()
    assert second["jobs"][0]["id"] == made[0]
    assert client.get("/api/jobs", params={"limit": 500}).json()["next_cursor"] is None
    assert problem(client.get("/api/jobs", params={"cursor": "x"}), 422) == ["cursor"]
    assert client.get("/api/jobs", params={"state": "failed"}).json()["jobs"] == []


def test_a_deleted_job_is_gone_and_its_pictures_stay(client: httpx.Client) -> None:
    job = drawn(client)
    image = job["images"][0]["id"]
    assert client.delete(f"/api/jobs/{job['id']}").status_code == 204
    for answer in (client.get(f"/api/jobs/{job['id']}"), client.delete(f"/api/jobs/{job['id']}"), client.get(f"/api/jobs/{job['id']}/events")):
        problem(answer, 404)
    assert job["id"] not in [one["id"] for one in client.get("/api/jobs").json()["jobs"]]
    assert client.get(f"/api/images/{image}").status_code == 200
    other = drawn(client)
    assert client.delete(f"/api/jobs/{other['id']}", params={"pictures": True}).status_code == 204
    assert other["images"][0]["id"] not in [one["id"] for one in client.get("/api/images").json()["images"]]


def test_a_running_job_is_cancelled_by_its_deletion(client: httpx.Client) -> None:
    job = client.post("/api/jobs", json={**SMALL, "prompt": "slow=1"}).json()["id"]
    assert client.delete(f"/api/jobs/{job}").status_code == 204
    assert drawn(client)["state"] == "done"


def test_a_jobs_events_tell_its_whole_story(client: httpx.Client) -> None:
    job = client.post("/api/jobs", json={**SMALL, "prompt": "slow=0.4", "batch_size": 2}).json()["id"]
    story = events(client, f"/api/jobs/{job}/events")
    names = [name for _, name, _ in story]
    assert names[-1] == "done" and names.count("picture") == 2 and {"progress", "preview"} <= set(names)
    steps = [data for _, name, data in story if name == "progress"]
    assert steps[-1]["steps"] == 3 and 0 < max(data["fraction"] for data in steps) <= 1
    assert [data["index"] for _, name, data in story if name == "picture"] == [0, 1]
    assert all(data["job"] == job for _, _, data in story)


def test_a_jobs_events_go_on_behind_the_last_that_was_read(client: httpx.Client) -> None:
    job = drawn(client, batch_size=3)["id"]
    whole = events(client, f"/api/jobs/{job}/events")
    assert [name for _, name, _ in whole] == ["picture", "picture", "picture", "done"]
    for cut in range(3):
        assert events(client, f"/api/jobs/{job}/events", whole[cut][0]) == whole[cut + 1:]
    assert client.get(f"/api/jobs/{job}/events", headers={"Last-Event-ID": whole[-1][0]}).status_code == 204
    assert events(client, f"/api/jobs/{job}/events", "nonsense") == whole


def test_a_failed_job_tells_the_field(client: httpx.Client) -> None:
    job = drawn(client, prompt="fail=0 always")
    assert job["state"] == "failed" and job["problems"] == [{"field": "prompt", "message": "too wild"}]
    assert events(client, f"/api/jobs/{job['id']}/events")[-1][1:] == ("failed", {"job": job["id"], "problems": job["problems"], "notes": []})
    again = client.post(f"/api/jobs/{job['id']}/retry")
    assert again.status_code == 200 and again.json()["id"] == job["id"]


def test_all_events_of_a_user_go_on_behind_the_last_that_was_read(client: httpx.Client) -> None:
    def until_done(last: str = "") -> list[tuple[str, str, str]]:
        found = []
        with client.stream("GET", "/api/events", headers={"Last-Event-ID": last} if last else {}) as answer:
            frame: dict[str, str] = {}
            for line in answer.iter_lines():
                if line:
                    frame |= [line.split(": ", 1)] if not line.startswith(":") else []
                elif "event" in frame:
                    found.append((frame.get("id", ""), frame["event"], json.loads(frame["data"]).get("job", "")))
                    if frame["event"] == "done":
                        return found
                    frame = {}
                else:
                    started.append(1)
                    if len(started) == 2:
                        jobs.append(client.post("/api/jobs", json={**SMALL, "prompt": "slow=0.5"}).json()["id"])
        raise AssertionError("the stream ended")

    started: list[int] = []
    jobs: list[str] = []
    found = until_done()
    assert {job for _, name, job in found if name in ("picture", "done")} == set(jobs)
    assert "progress" in [name for _, name, _ in found]
    picture = next(index for index, (_, name, _) in enumerate(found) if name == "picture")
    assert [name for _, name, _ in until_done(found[picture][0])][-1] == "done"


@pytest.mark.parametrize(("wanted", "kind"), [
    ({"format": "png"}, "PNG"), ({"format": "jpeg"}, "JPEG"), ({"format": "webp"}, "WEBP"), ({}, "PNG"),
])
def test_a_picture_comes_in_the_form_that_is_asked_for_with_its_settings(client: httpx.Client, wanted: dict[str, str], kind: str) -> None:
    image = drawn(client)["images"][0]["id"]
    answer = client.get(f"/api/images/{image}", params=wanted)
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.format == kind and answer.headers["content-type"] == f"image/{kind.lower()}"
    told = client.post("/easel/settings", content=answer.content).json()
    assert told["values"]["prompt"] == "a lighthouse"


def test_settings_and_infotext_of_a_picture(client: httpx.Client) -> None:
    image = drawn(client)["images"][0]["id"]
    settings = client.get(f"/api/images/{image}", headers={"Accept": "application/json"}).json()
    assert settings == client.get(f"/api/images/{image}/settings").json()
    text = client.get(f"/api/images/{image}", headers={"Accept": "text/plain"}).text
    assert text == settings["infotext"] == client.get(f"/api/images/{image}/infotext").text
    again = drawn(client, **settings["request"])
    assert again["images"][0]["seed"] == settings["seed"]
    assert Image.open(io.BytesIO(client.get(f"/api/images/{image}/thumbnail").content)).format == "WEBP"
    problem(client.get(f"/api/images/{image}", headers={"Accept": "video/mp4"}), 406)
    assert client.delete(f"/api/images/{image}").status_code == 204


@pytest.mark.parametrize(("accept", "form"), [
    ("", "webp"), ("*/*", "webp"), ("image/*", "webp"), ("image/png", "png"), ("image/png;q=0.5, image/jpeg", "jpeg"),
    ("application/json, */*;q=0.1", "json"), ("text/html, image/avif, image/webp, */*;q=0.8", "webp"),
    ("image/png, image/jpeg, */*;q=0.1", "png"), ("image/jpeg;q=x, image/png;q=0.1", "png"),
])
def test_what_an_accept_header_prefers(accept: str, form: str) -> None:
    assert negotiated(accept, "webp") == form


def test_a_picture_is_sent_once_and_started_from(client: httpx.Client) -> None:
    raw = client.post("/api/uploads", content=png(), headers={"Content-Type": "image/png"})
    form = client.post("/api/uploads", files={"file": ("a.png", png(), "image/png")})
    assert raw.status_code == form.status_code == 201 and raw.json() == form.json()
    assert (raw.json()["width"], raw.json()["height"]) == (64, 64)
    mask = client.post("/api/uploads", params={"mask": True}, content=png("white", "L")).json()["id"]
    assert drawn(client, init_image=raw.json()["id"], mask=mask)["state"] == "done"
    assert Image.open(io.BytesIO(client.get(f"/api/uploads/{raw.json()['id']}").content)).size == (64, 64)
    assert problem(client.post("/api/uploads", content=b"nothing"), 422) == ["file"]
    assert problem(client.post("/api/uploads", data={"file": "text"}, files={}), 422) == ["file"]
    assert problem(client.post("/api/jobs", json={**SMALL, "init_image": "0" * 64}), 422) == ["init_image"]


def test_what_there_is_to_choose_from(client: httpx.Client) -> None:
    everything = client.get("/api/models").json()
    assert {"demo", "other"} <= {model["name"] for model in everything["models"]} and "lora" in everything["kinds"]
    assert [model["name"] for model in client.get("/api/models/checkpoint").json()["models"]] == ["demo", "other"]
    problem(client.get("/api/models/none"), 404)
    assert "Euler" in [sampler["name"] for sampler in client.get("/api/samplers").json()]
    assert "Karras" in [schedule["name"] for schedule in client.get("/api/schedules").json()]
    fields = {field["name"]: field for field in client.get("/api/fields").json()["fields"]}
    assert (fields["steps"]["minimum"], fields["steps"]["maximum"], fields["steps"]["default"]) == (1, 1000, 20)
    assert "Euler" in fields["sampler"]["choices"] and "template" not in fields
    assert "weight" in [inner["name"] for inner in fields["guides"]["record"]]
    assert client.get("/api/fields", params={"checkpoint": "demo"}).status_code == 200


PLOT = {"request": SMALL, "axes": [{"label": "CFG Scale", "values": "4, 7"}, {"label": "Steps", "values": [2, 3, 4]}]}


def test_a_plot_from_its_dry_run_to_its_export(client: httpx.Client) -> None:
    dry = client.post("/api/plots/dry-run", json=PLOT).json()
    assert (dry["cells"], dry["pictures"], dry["problems"]) == (6, 6, []) and dry["axes"][0]["values"] == ["4", "7"]
    answer = client.post("/api/plots", json=PLOT)
    plot = answer.json()
    assert answer.status_code == 201 and answer.headers["location"] == f"/api/plots/{plot['id']}" and plot["total"] == 6
    until(lambda: client.get(f"/api/plots/{plot['id']}").json()["state"] == "done")
    whole = client.get(f"/api/plots/{plot['id']}").json()
    cells = whole["cells"]
    assert len(cells) == 6 and all(client.get(f"/api/images/{cell['image']}").status_code == 200 for cell in cells)
    news = [whole]

    def quiet() -> bool:
        news.append(client.get(f"/api/plots/{plot['id']}/cells", params={"since": news[-1]["cursor"]}).json())
        return not news[-1]["cells"]

    until(quiet)
    assert all(cell in cells for told in news for cell in told["cells"])
    export = client.get(f"/api/plots/{plot['id']}/export.png")
    assert Image.open(io.BytesIO(export.content)).format == "PNG"
    assert client.get("/api/plots").json()["plots"][0]["id"] == plot["id"]
    assert client.delete(f"/api/plots/{plot['id']}").status_code == 204
    problem(client.get(f"/api/plots/{plot['id']}"), 404)


def test_a_plot_sent_again_under_its_key_queues_once(client: httpx.Client) -> None:
    key = {"Idempotency-Key": "plot 66"}
    first, second = (client.post("/api/plots", json=PLOT, headers=key) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200) and first.json()["id"] == second.json()["id"]
    assert [plot["id"] for plot in client.get("/api/plots").json()["plots"]].count(first.json()["id"]) == 1
    assert problem(client.post("/api/plots", json={**PLOT, "axes": PLOT["axes"][:1]}, headers=key), 422) == ["Idempotency-Key"]
    assert problem(client.post("/api/jobs", json=SMALL, headers=key), 422) == ["Idempotency-Key"]
    other = client.post("/api/plots", json=PLOT, headers={"Idempotency-Key": "plot 67"})
    assert other.status_code == 201 and other.json()["id"] != first.json()["id"]
    for plot in (first, other):
        assert client.delete(f"/api/plots/{plot.json()['id']}").status_code == 204
    problem(client.post("/api/plots", json=PLOT, headers=key), 409)


def test_a_wrong_plot_is_told_by_field_and_a_plot_is_cancelled(client: httpx.Client) -> None:
    wrong = {**PLOT, "axes": [{"label": "CFG Scale", "values": "x"}]}
    assert problem(client.post("/api/plots", json=wrong), 422) == ["axes.0.values"]
    assert problem(client.post("/api/plots", json={**PLOT, "axis": []}), 422) == ["axis"]
    slow = client.post("/api/plots", json={**PLOT, "request": {**SMALL, "prompt": "slow=0.3"}}).json()["id"]
    cancelled = client.post(f"/api/plots/{slow}/cancel")
    assert cancelled.status_code == 200 and client.post(f"/api/plots/{slow}/resume").status_code == 200
    client.delete(f"/api/plots/{slow}")
    labels = [axis["label"] for axis in client.get("/api/plots/axes").json()["axes"]]
    assert "CFG Scale" in labels and "Euler" in client.get("/api/plots/axes/Sampler/choices").json()["choices"]


def test_one_users_jobs_are_not_anothers(tmp_path: Path) -> None:
    with served(tmp_path, users={"ann": "one", "bob": "two"}) as (address, _):
        ann, bob = (httpx.Client(base_url=address, auth=login, timeout=60) for login in (("ann", "one"), ("bob", "two")))
        job = drawn(ann)
        image, own = job["images"][0]["id"], job["id"]
        for path in (f"jobs/{own}", f"jobs/{own}/events", f"jobs/{own}/preview", f"images/{image}", f"images/{image}/settings"):
            problem(bob.get(f"/api/{path}"), 404)
        for answer in (bob.delete(f"/api/jobs/{own}"), bob.post(f"/api/jobs/{own}/cancel"), bob.delete(f"/api/images/{image}")):
            problem(answer, 404)
        assert bob.get("/api/jobs").json()["jobs"] == [] and bob.get("/api/images").json()["images"] == []
        key = {"Idempotency-Key": "same"}
        assert ann.post("/api/jobs", json=SMALL, headers=key).json()["id"] != bob.post("/api/jobs", json=SMALL, headers=key).json()["id"]
        problem(httpx.get(f"{address}/api/jobs"), 401)
