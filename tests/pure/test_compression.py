"""What goes out compressed, and what goes out as it is."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from backend.http.error_shapes import ErrorShapes
from ui.compression import Compression

TEXT = b"the same words again and again " * 200


def whole(request: Request) -> Response:
    return Response(TEXT, media_type=request.query_params["type"])


def refused(request: Request) -> Response:
    return JSONResponse({"detail": "far too large " * 100}, 422)


def stream(request: Request) -> Response:
    return StreamingResponse(iter([TEXT, TEXT]), media_type="text/event-stream")


@pytest.mark.parametrize("path, smaller", [
    ("/?type=text/html", True), ("/?type=text/javascript", True), ("/?type=application/json", True),
    ("/?type=image/png", False), ("/?type=image/jpeg", False), ("/?type=image/webp", False), ("/?type=application/zip", False),
    ("/sdapi/v1/txt2img?type=application/json", False), ("/gradio_api/upload?type=application/json", False), ("/events", False),
])
def test_texts_are_compressed_and_pictures_and_streams_are_not(path: str, smaller: bool) -> None:
    app = Starlette(routes=[Route("/", whole), *(Route(path, whole) for path in ("/sdapi/v1/txt2img", "/gradio_api/upload")), Route("/events", stream)])
    app.add_middleware(Compression, compresslevel=5)
    answer = TestClient(app).get(path)
    assert answer.headers.get("content-encoding") == ("gzip" if smaller else None)
    assert answer.content in (TEXT, TEXT * 2)


@pytest.mark.parametrize("path", ["/api/uploads", "/v1/images/edits"])
def test_a_long_error_that_was_compressed_is_told_in_the_shape_of_its_door(path: str) -> None:
    app = Starlette(routes=[Route(path, refused)], middleware=[Middleware(ErrorShapes), Middleware(Compression, compresslevel=5)])
    answer = TestClient(app).get(path)
    assert "far too large far too large" in str(answer.json()) and "content-encoding" not in answer.headers
