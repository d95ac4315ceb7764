"""The web server: says when the page answers, and stops without waiting for open pages."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

from backend import Backend

GRACE = 2   # seconds for requests in flight when the server stops


class Server(uvicorn.Server):
    """Uvicorn, with Easel's own first and last acts."""

    def __init__(self, app: FastAPI, backend: Backend) -> None:
        super().__init__(uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=GRACE))
        self._app, self._backend = app, backend

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            print(f"Easel is at {address(*listener.getsockname()[:2])}", flush=True)
        self._backend.start_workers()  # only now: a worker's imports would keep the page waiting

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.changes.close()
        await super().shutdown(sockets)


def address(host: str, port: int) -> str:
    """What to type into a browser on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
