"""A whole house with a fake worker behind a real server on a port of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

import ui
from backend import Backend, Settings
from backend.http import create_app
from backend.http.server import Server
from tests.tiny.house import FakeCatalog, until


@contextmanager
def served(folder: Path, *, page: bool = False, **settings: Any) -> Iterator[tuple[str, Backend]]:
    """Its address, and the backend; with its page, or the API alone."""
    backend = Backend(Settings(data=folder / "data", **settings), catalog=FakeCatalog(folder), worker="tests.tiny.fake_worker",
                      start_workers=False)
    app = create_app(backend)
    server = Server(ui.mount(app, backend) if page else app, backend)
    listener = uvicorn.Config("", host="127.0.0.1", port=0).bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    until(lambda: server.started)
    try:
        yield "http://{}:{}".format(*listener.getsockname()), backend
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        backend.close()
