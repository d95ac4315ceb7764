"""Whether Easel lives and can draw, and what is measured of it: /health, /ready and /metrics.

The first two say a word to everybody. Measures are for admins, and for the addresses of `--metrics-from`.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterator
from dataclasses import asdict

import psutil
from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend import Backend
from backend.http.dependencies import EntireBackend
from backend.http.json_answers import JSONAnswer

METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS")
CAN_DRAW = ("ready", "loading", "resting")
router = APIRouter()


@router.get("/health")
def health() -> dict[str, str]:
    """Answers for as long as the front process lives."""
    return {"status": "ok"}


@router.get("/ready")
def ready(backend: EntireBackend) -> JSONAnswer:
    """200 when a worker can draw, else 503."""
    draws = any(worker.state in CAN_DRAW for worker in backend.status().workers)
    return JSONAnswer({"status": "ready" if draws else "starting"}, 200 if draws else 503)


@router.get("/metrics")
def metrics(request: Request, backend: EntireBackend) -> Response:
    """Prometheus' text format."""
    user = request.state.user
    if not _may_watch(request, backend.settings.metrics_from) and not (user and user.is_admin):
        raise HTTPException(403 if user else 401, "Measures are for admins, and for the addresses of --metrics-from",
                            None if user else {"WWW-Authenticate": 'Basic realm="Easel", charset="UTF-8"'})
    return Response(generate_latest(backend.measures.registry) + generate_latest(_Now(backend)),
                    headers={"Content-Type": CONTENT_TYPE_LATEST})


def _may_watch(request: Request, networks: tuple[str, ...]) -> bool:
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(network) for network in networks)


class _Now:
    """What is looked up when it is asked for; a collector and a registry with nothing else."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def collect(self) -> Iterator[Metric]:
        waiting, running = self._backend.load()
        queue = GaugeMetricFamily("easel_queue_jobs", "Jobs that wait or are drawn, of everybody.", labels=["state"])
        queue.add_metric(["waiting"], waiting)
        queue.add_metric(["running"], running)
        yield queue
        workers = GaugeMetricFamily("easel_workers", "Workers by what they are at.", labels=["worker", "state"])
        devices = GaugeMetricFamily("easel_device_memory_bytes", "Of a worker's device, used or not.",
                                    labels=["worker", "device"])
        for worker in self._backend.status().workers:
            workers.add_metric([worker.name, worker.state], 1)
            if worker.memory:
                devices.add_metric([worker.name, worker.device], worker.memory)
        yield workers
        yield devices
        yield self._used()
        yield self._memory()

    def _used(self) -> Metric:
        used = GaugeMetricFamily("easel_device_memory_used_bytes", "Of a device's memory, in use by the worker's "
                                 "tensors (cards only), the whole worker, everybody.", labels=["worker", "by"])
        for worker, memory in self._backend.measures.memory.copy().items():
            for by, size in asdict(memory).items():
                if size:
                    used.add_metric([worker, by], size)
        return used

    @staticmethod
    def _memory() -> Metric:
        front = psutil.Process()
        memory = GaugeMetricFamily("easel_memory_bytes", "Resident memory.", labels=["process"])
        memory.add_metric(["front"], front.memory_info().rss)
        memory.add_metric(["workers"], sum(map(_resident, front.children(recursive=True))))
        return memory


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0        # it has just ended


class Timed:
    """ASGI middleware around the guard: how long answers take to begin."""

    def __init__(self, app: ASGIApp, backend: Backend) -> None:
        self._app, self._measures = app, backend.measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        answered: tuple[int, float] | None = None

        async def timed(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = message["status"], time.perf_counter() - begun
            await send(message)

        scope.setdefault("state", {})
        try:
            await self._app(scope, receive, timed)
        finally:
            status, seconds = answered or (500, time.perf_counter() - begun)
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._measures.answered(method, scope["state"].get("route", ""), status, seconds)


class RouteNamed:
    """ASGI middleware right around the routes: tells those outside by which one a request was answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            if scope["type"] == "http":
                scope.setdefault("state", {})["route"] = getattr(scope.get("route"), "path", "")
