"""The routes around the prompt, against a front door without a worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from backend.http import create_app
from backend.settings import Settings
from tests.pure.door import Door


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    (tmp_path / "wildcards").mkdir()
    (tmp_path / "wildcards" / "colour.txt").write_text("red\ngreen\n", "utf-8")
    with TestClient(create_app(Door(Settings(data=tmp_path))), base_url="http://127.0.0.1:7860") as client:
        client.post("/easel/styles", json={"name": "Oil", "prompt": "{prompt}, oil", "negative_prompt": "photo"})
        yield client


def draw(client: TestClient, **payload: object) -> dict[str, object]:
    answer = client.post("/sdapi/v1/txt2img", json={"prompt": "a cat", "send_images": False, **payload})
    assert answer.status_code == 200, answer.text
    return answer.json()["parameters"] | json.loads(answer.json()["info"])


def wrong(client: TestClient, **payload: object) -> tuple[list[str], str]:
    answer = client.post("/sdapi/v1/txt2img", json={"prompt": "a cat", **payload})
    assert answer.status_code == 422, answer.text
    return [problem["field"] for problem in answer.json()["problems"]], answer.json()["errors"]


def test_styles_in_automatic1111s_shape(client: TestClient) -> None:
    assert client.get("/sdapi/v1/prompt-styles").json() == [{"name": "Oil", "prompt": "{prompt}, oil", "negative_prompt": "photo"}]


def test_an_unreadable_file_of_styles_is_told_where_they_are_listed(client: TestClient, tmp_path: Path) -> None:
    assert client.get("/easel/styles").json()["problems"] == []
    (tmp_path / "styles.csv").write_text("my;own;table\n", "utf-8")
    told = client.get("/easel/styles").json()
    assert told["styles"] == [] and "data/styles.csv" in told["problems"][0]


def test_a_payload_with_styles(client: TestClient) -> None:
    info = draw(client, styles=["Oil"], negative_prompt="dog", n_iter=2, seed=5)
    assert (info["prompt"], info["negative_prompt"], info["styles"]) == ("a cat, oil", "dog, photo", ["Oil"])
    assert info["all_prompts"] == ["a cat, oil"] * 2 and info["all_seeds"] == [5, 6]
    assert draw(client, styles=[])["styles"] == draw(client, styles=None)["styles"] == []
    told = draw(client, styles=["Oil", "Water"])
    assert told["styles"] == ["Oil"] and any("Water" in note for note in told["notes"])
    assert wrong(client, styles="Oil")[0] == ["styles"]


def test_a_payload_with_wildcards(client: TestClient) -> None:
    assert draw(client, prompt="a __colour__ cat", prompt_expansion="Combinatorial")["all_prompts"] == ["a red cat", "a green cat"]
    assert set(draw(client, prompt="__colour__", n_iter=30)["all_prompts"]) == {"red", "green"}
    assert draw(client, prompt="__colour__", prompt_expansion="Off")["all_prompts"] == ["__colour__"]
    fields, text = wrong(client, prompt="__shape__")
    assert fields == ["prompt"] and "__shape__" in text and "colour" in text
    fields, text = wrong(client, prompt="{1|2|3|4|5|6|7|8|9|0}" * 4, prompt_expansion="Combinatorial")
    assert fields == ["prompt"] and "10,000" in text


def test_styles_are_kept_changed_and_deleted(client: TestClient) -> None:
    def post(route: str, **body: object) -> object:
        return client.post(f"/easel/styles{route}", json=body)

    assert post("", name="Pen", prompt="pen", was="Oil").json()["styles"] == [{"name": "Pen", "prompt": "pen", "negative_prompt": "", "shared": False}]
    assert post("", name="Pen", prompt="other").status_code == 422
    assert post("", name="", prompt="x").json()["problems"][0]["field"] == "name"
    for route in ("", "/delete", "/apply"):
        strange = client.post(f"/easel/styles{route}", content=b'{"name": "\\ud800", "was": "\\ud800", "styles": ["\\ud800"]}')
        assert strange.status_code in (404, 422)
    assert post("", prompt="x").status_code == 422
    assert post("/apply", styles=["Pen"], prompt="cat", negative_prompt="dog").json() == {"prompt": "cat, pen", "negative_prompt": "dog"}
    assert post("/apply", styles=["Gone"], prompt="cat").status_code == 422
    assert post("/delete", name="Gone").status_code == 404
    assert "Pen" not in str(post("/delete", name="Pen").json())


def test_lists_of_the_page(client: TestClient) -> None:
    assert client.get("/easel/prompts?q=cat&limit=3").json() == {"prompts": []}
    assert client.get("/easel/prompts?limit=0").status_code == 422
    found = client.get("/easel/complete?text=col&kind=wildcard").json()["suggestions"]
    assert [(one["kind"], one["name"], one["insert"]) for one in found] == [("wildcard", "colour", "__colour__")]
    assert client.get("/easel/complete?text=oi").json()["suggestions"][0]["kind"] == "style"
    assert client.get("/easel/complete?kind=nonsense").status_code == 422
    assert client.get("/easel/complete").json() == {"text": "", "suggestions": []}
