"""What goes out compressed, and what goes out as it is."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from ui.compression import Compression

TEXT = b"the same words again and again " * 200


def whole(request: Request) -> Response:
    return Response(TEXT, media_type=request.query_params["type"])


def stream(request: Request) -> Response:
    return StreamingResponse(iter([TEXT, TEXT]), media_type="text/event-stream")


@pytest.mark.parametrize("path, smaller", [
    ("/?type=text/html", True), ("/?type=text/javascript", True), ("/?type=application/json", True),
    ("/?type=image/png", False), ("/?type=image/jpeg", False), ("/?type=image/webp", False), ("/?type=application/zip", False),
    ("/sdapi/v1/txt2img?type=application/json", False), ("/events", False),
])
def test_texts_are_compressed_and_pictures_and_streams_are_not(path: str, smaller: bool) -> None:
    app = Starlette(routes=[Route("/", whole), Route("/sdapi/v1/txt2img", whole), Route("/events", stream)])
    app.add_middleware(Compression, compresslevel=5)
    answer = TestClient(app).get(path)
    assert answer.headers.get("content-encoding") == ("gzip" if smaller else None)
    assert answer.content in (TEXT, TEXT * 2)
