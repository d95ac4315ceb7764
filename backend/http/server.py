"""The web server: says when the page answers, keeps slow and many connections in bounds, stops without waiting."""

from __future__ import annotations

import asyncio
import socket
import sys
from functools import partial

import anyio
import uvicorn
from fastapi import FastAPI

from backend import Backend
from backend.http.connections import IDLE_SECONDS, Connection, Connections, most_connections, quiet_about_files

GRACE = 2   # seconds for requests in flight when the server stops
TICKS = 10  # of uvicorn's loop in a second
SWITCH = 0.001  # seconds that the loop waits for each working thread when it comes back from the network; usually 5 ms


class Server(uvicorn.Server):
    """Uvicorn, with Easel's own first and last acts."""

    def __init__(self, app: FastAPI, backend: Backend) -> None:
        self._connections = Connections(most_connections(), backend.settings.trusted_proxies)
        super().__init__(uvicorn.Config(
            app, http=partial(Connection, among=self._connections), log_config=None, access_log=False,
            server_header=False, proxy_headers=False, timeout_keep_alive=round(IDLE_SECONDS),
            timeout_graceful_shutdown=GRACE))
        self._app, self._backend, self._link = app, backend, app.state.public_link
        self.starts_again = False
        app.state.stop = self.stop

    def stop(self, *, start_again: bool = False) -> None:
        """End as by a signal, and say whether Easel shall be started anew."""
        self.starts_again, self.should_exit = start_again, True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(quiet_about_files)
        sys.setswitchinterval(SWITCH)
        await anyio.to_thread.run_sync(int)  # its first call imports, for which no request shall wait
        await super().startup(sockets)
        for host, port, *_ in (listener.getsockname() for listener in sockets or ()):
            if port != self._link.port:
                print(f"Easel is at {address(host, port)}", flush=True)
        if self._link.port:
            self._link.open_in_background()
        self._backend.start_workers()  # only now: a worker's imports would keep the page waiting

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS == 0:
            self._connections.sweep()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.changes.close()
        self._link.close()
        await super().shutdown(sockets)


def address(host: str, port: int) -> str:
    """What to type into a browser on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
