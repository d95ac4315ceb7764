"""The description of /api and /v1 says what is taken, answered and refused, from the field table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from backend.http import create_app
from backend.http.easel.jobs import from_outside
from backend.request.request import FIELDS
from backend.settings import Settings
from tests.pure.door import Door

BARE = ("text/event-stream", "image/png", "image/jpeg", "image/webp", "text/plain", "application/octet-stream")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    app = create_app(Door(Settings(data=tmp_path_factory.mktemp("data"))))
    return TestClient(app, base_url="http://127.0.0.1:7860").get("/openapi.json").json()


def routes(told: dict[str, Any], start: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in told["paths"].items():
        yield from ((f"{method} {path}", route) for method, route in methods.items() if path.startswith(start))


def test_every_answer_has_a_type(told: dict[str, Any]) -> None:
    found = [*routes(told, "/api/"), *routes(told, "/v1/")]
    assert len(found) > 35
    for name, route in found:
        assert route.get("summary") and route.get("description"), name
        for status, answer in route["responses"].items():
            for media, content in answer.get("content", {}).items():
                assert content.get("schema") or media in BARE, (name, status, media)


def test_whole_numbers_in_addresses_have_bounds(told: dict[str, Any]) -> None:
    """What is larger than a database's numbers is refused before it gets there."""
    def is_bound(schema: dict[str, Any]) -> bool:
        kinds = schema.get("anyOf", [schema])
        return all(kind.get("type") != "integer" or kind.keys() & {"minimum", "exclusiveMinimum"} and kind.keys() & {"maximum", "exclusiveMaximum"} for kind in kinds)

    found = [(name, one) for name, route in routes(told, "/") for one in route.get("parameters", [])]
    assert len(found) > 100
    unbound = {(name, one["name"]) for name, one in found if not is_bound(one["schema"])}
    assert unbound == {("post /easel/upload/{over}/paint", side) for side in ("left", "top")}, "these have the picture's"


def test_errors_of_each_door_have_its_shape(told: dict[str, Any]) -> None:
    for start, media, schema in (("/api/", "application/problem+json", "ProblemDetails"), ("/v1/", "application/json", "OpenAIError")):
        for name, route in routes(told, start):
            errors = {status: answer["content"] for status, answer in route["responses"].items() if status >= "400"}
            assert len(errors) >= 5, name
            for content in errors.values():
                assert content == {media: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}, name


def test_a_job_takes_every_field_as_the_table_has_it(told: dict[str, Any]) -> None:
    body = told["paths"]["/api/jobs"]["post"]["requestBody"]["content"]["application/json"]
    schema = told["components"]["schemas"]["JobRequest"]
    assert body["schema"] == {"$ref": "#/components/schemas/JobRequest"} and len(body["examples"]) >= 3
    assert schema["properties"].keys() == from_outside(FIELDS).keys() | {"webhook"}
    for name, field in from_outside(FIELDS).items():
        own = schema["properties"][name]
        assert (own.get("minimum"), own.get("maximum")) == ((field.minimum, field.maximum) if field.kind in ("int", "float", "seed") else (None, None))
        assert own["title"] == field.label and field.help in own.get("description", "")
        assert field.kind != "choice" or own["enum"] == list(field.choices)
    assert schema["properties"]["guides"]["items"]["properties"]["weight"]["type"] == "number"
    assert schema["additionalProperties"] is False and schema["properties"]["eta"]["type"] == ["number", "null"]


def test_the_examples_of_a_job_are_taken(tmp_path: Path, told: dict[str, Any]) -> None:
    from backend.request.request import Request

    examples = told["paths"]["/api/jobs"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    for example in examples.values():
        Request.parse({name: value for name, value in example["value"].items() if name != "webhook"})
