"""The one place where an error becomes a status code and JSON.

The body has AUTOMATIC1111's keys (`detail`, `error`, `errors`, `body`) and Easel's `problems`, one per wrong field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from backend.errors import (
    CheckpointError,
    EaselError,
    Forbidden,
    NotAllowed,
    NotFound,
    OutOfMemory,
    Problem,
    StorageError,
    UserError,
    WorkerLost,
)
from backend.http.error_shapes import route_path, shaped
from backend.http.json_answers import JSONAnswer
from backend.request.request import FIELDS

STATUS: dict[type[EaselError], int] = {
    UserError: 422,
    NotFound: 404,
    NotAllowed: 409,
    Forbidden: 403,
    CheckpointError: 422,
    OutOfMemory: 500,
    StorageError: 507,
    WorkerLost: 503,
}


class JobFailed(EaselError):
    """A job that ended with an error, seen from outside: its problems cross the process border without their class."""


def register(app: FastAPI) -> None:
    """Teaches the application to answer every error in one shape."""
    app.add_exception_handler(EaselError, _easel)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(UnicodeEncodeError, _no_text)
    app.add_exception_handler(Exception, _unexpected)


def status_of(error: EaselError) -> int:
    """The status of the nearest class in the table; a failed job is the client's fault if a field is named."""
    if isinstance(error, JobFailed):
        return 422 if any(problem.field for problem in error.problems) else 500
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def location(field: str) -> list[str]:
    """Where a client wrote the field: the name in AUTOMATIC1111's JSON, below `override_settings` if it lives there."""
    row = FIELDS.get(field)
    if row is None:
        return ["body", *field.split(".")] if field else ["body"]
    return ["body", "override_settings", row.override] if row.override else ["body", row.api_name]


def answer(status: int, error: str, problems: Sequence[Problem]) -> JSONAnswer:
    """The JSON for a list of problems."""
    detail = [{"loc": location(p.field), "msg": p.message, "type": "value_error"} for p in problems]
    return JSONAnswer(status_code=status, content={
        "error": error,
        "detail": detail,
        "errors": "; ".join(str(problem) for problem in problems),
        "body": "",
        "problems": [{"field": p.field, "message": p.message} for p in problems],
    })


async def _easel(_: Request, error: EaselError) -> JSONAnswer:
    return answer(status_of(error), type(error).__name__, error.problems)


async def _malformed(_: Request, error: RequestValidationError) -> JSONAnswer:
    return answer(422, "InvalidRequest", [Problem(_message(e), _name(e)) for e in error.errors()])


async def _http(_: Request, error: HTTPException) -> JSONAnswer:
    response = answer(error.status_code, "HTTPException", [Problem(str(error.detail))])
    response.headers.update(error.headers or {})
    return response


async def _gone(_: Request, error: ClientDisconnect) -> JSONAnswer:
    """Nobody reads it; what matters is that it is no mistake of Easel's."""
    return answer(400, "ClientDisconnect", [Problem("The request was not sent to its end")])


async def _no_text(_: Request, error: Exception) -> JSONAnswer:
    """JSON can hold half of a character (a lone surrogate), and no file, database or address can."""
    return answer(422, type(error).__name__, [Problem("A text in the body holds half of a character")])


async def _unexpected(request: Request, error: Exception) -> Response:
    """Of what is answered here the middleware that shapes errors learns nothing: it stands inside."""
    told = answer(500, type(error).__name__, [Problem("Easel made a mistake; its log says more")])
    body, media = shaped(route_path(request.scope), 500, json.loads(bytes(told.body))) or (told.body, told.media_type)
    return Response(body, 500, media_type=media)


def _message(error: Mapping[str, Any]) -> str:
    """What is wrong; for a whole body of another kind, what it must be."""
    no_payload = tuple(error["loc"]) == ("body",) and error["type"] in ("dict_type", "missing")
    if error["type"] == "json_invalid":
        return f"The body is no JSON, from character {error['loc'][-1]} on: {error['ctx']['error']}"
    return "The body must be a JSON object, sent as application/json" if no_payload else error["msg"]


def _name(error: Mapping[str, Any]) -> str:
    """The field, "" for a text that is no JSON: its place there is a number of characters."""
    return "" if error["type"] == "json_invalid" else ".".join(str(part) for part in list(error["loc"])[1:])
