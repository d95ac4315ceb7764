"""What is counted while Easel runs, for whoever watches it: prometheus-client's numbers, in a registry of their own."""

from __future__ import annotations

from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Histogram

from backend.messages import Calls, MemoryUse

SECONDS = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600)
HTTP_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)


class Measures:
    """Thread-safe, as prometheus-client is."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.memory: dict[str, MemoryUse] = {}      # by worker, as each that lives has last told
        self._jobs = Counter("easel_jobs_ended", "Jobs that came to an end.", ["state"], registry=self.registry)
        self._wait = Histogram("easel_job_wait_seconds", "From the queue to a worker's hands.", buckets=SECONDS,
                               registry=self.registry)
        self._pictures = Counter("easel_pictures", "Pictures that were saved.", registry=self.registry)
        self._errors = Counter("easel_errors", "What went wrong.", ["kind"], registry=self.registry)
        self._calls = Counter("easel_network_calls", "Calls of denoising networks.", ["worker"],
                              registry=self.registry)
        self._call_seconds = Counter("easel_network_call_seconds", "Time in these calls: over their number, a step's.",
                                     ["worker"], registry=self.registry)
        self._rows = Counter("easel_network_rows", "Rows in these calls that were asked for.", ["worker"],
                             registry=self.registry)
        self._places = Counter("easel_network_places", "Rows with padding: asked for over this is the occupancy.",
                               ["worker"], registry=self.registry)
        self._http = Histogram("easel_http_seconds", "From a request to the beginning of its answer.",
                               ["method", "route", "status"], buckets=HTTP_SECONDS, registry=self.registry)

    def ended(self, state: str) -> None:
        """A job is done, failed or cancelled."""
        self._jobs.labels(state).inc()
        if state == "failed":
            self.error("job")

    def started(self, created: datetime) -> None:
        """A worker has begun a job that was queued at that moment (UTC)."""
        self._wait.observe(max((datetime.now(UTC) - created).total_seconds(), 0.0))

    def saved(self) -> None:
        """A picture."""
        self._pictures.inc()

    def error(self, kind: str) -> None:
        """Of a few kinds: "job", "worker", "http"."""
        self._errors.labels(kind).inc()

    def called(self, worker: str, before: Calls, now: Calls) -> None:
        """What a worker has done between two reports."""
        self._calls.labels(worker).inc(now.count - before.count)
        self._call_seconds.labels(worker).inc(now.seconds - before.seconds)
        self._rows.labels(worker).inc(now.rows - before.rows)
        self._places.labels(worker).inc(now.places - before.places)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request. `route` is a template, never what a client wrote."""
        self._http.labels(method, route, str(status)).observe(seconds)
        if status >= 500:
            self.error("http")
