"""The description of all routes (`/openapi.json`).

It is made when it is first asked for: extensions may have added fields by then.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from backend.http import openapi_api_bodies
from backend.http.openapi_a1111_answers import ANSWERS, answer_schema
from backend.http.openapi_a1111_bodies import BODIES
from backend.version import VERSION

Schema = dict[str, Any]

ABOUT_ALL = ("For programs: jobs, events, pictures and plots under /api, OpenAI's shapes under /v1, AUTOMATIC1111's "
             "under /sdapi/v1. Below them the page's own routes. docs/api.md says more.")
GROUPS = {"/easel/": "Easel", "/internal/": "AUTOMATIC1111, its page's own", "/": "AUTOMATIC1111"}


def describe(app: FastAPI) -> None:
    """Gives the application its description; all its routes must be there when that is asked for."""
    def described() -> Schema:
        if app.openapi_schema is None:
            app.openapi_schema = _whole(app)
        return app.openapi_schema

    app.openapi = described     # type: ignore[method-assign]


def _whole(app: FastAPI) -> Schema:
    made = get_openapi(title="Easel", version=VERSION, routes=app.routes,
                       description=ABOUT_ALL)
    for path, methods in made["paths"].items():
        group = next(name for start, name in GROUPS.items() if path.startswith(start))
        for route in methods.values():
            route["tags"] = route["tags"] if path.startswith(openapi_api_bodies.PATHS) else [group]
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for path, (name, body) in BODIES.items():
        if path in made["paths"]:
            schemas[name] = body()
            content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
            made["paths"][path]["post"]["requestBody"] = {"required": True, "content": content}
    for path, (method, name, kind) in ANSWERS.items():
        if path in made["paths"]:
            schemas[name] = answer_schema(kind[0] if isinstance(kind, list) else kind)
            told = {"$ref": f"#/components/schemas/{name}"}
            told = {"type": "array", "items": told} if isinstance(kind, list) else told
            made["paths"][path][method]["responses"]["200"]["content"] = {"application/json": {"schema": told}}
    openapi_api_bodies.describe(made)
    return made
