"""Delivery of webhooks: in threads of its own, each tried again with growing pauses, over restarts too."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from backend.dispatch.event_feed import EventFeed
from backend.errors import EaselError, UserError
from backend.store.tables import now
from backend.store.view_types import Image, Job
from backend.store.webhooks import Notice, Webhooks
from backend.webhooks.sending import Gone, send
from backend.webhooks.signature import headers

PAUSES = (5, 300, 1800, 7200, 18000, 36000, 50400)     # seconds after each failed attempt; then it is given up
THREADS = 4
SHORTEST, LONGEST = 0.2, 60.0       # seconds between two looks; a clock may be set meanwhile
SENDING = 1.0                       # the same while something is on its way, which may have to be sent again

log = logging.getLogger(__name__)


class Delivery:
    """Thread-safe. `job(id, owner)` reads a job; `feed` tells that the queue has changed."""

    def __init__(self, webhooks: Webhooks, job: Callable[[str, str], Job], feed: EventFeed,
                 allowed: Sequence[str]) -> None:
        self._webhooks, self._job, self._feed, self._allowed = webhooks, job, feed, allowed
        self._sending: set[str] = set()         # jobs whose webhooks are on their way
        self._lock = threading.Lock()           # held to read and change them
        self._closed = threading.Event()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="webhook")

    def start(self) -> None:
        """No thread is started where the operator allows no host."""
        if self._allowed:
            threading.Thread(target=self._run, name="webhooks", daemon=True).start()

    def close(self) -> None:
        """Begin nothing new; what is under way and does not get through is sent again after the next start."""
        self._closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        while not self._closed.wait(SHORTEST):
            version = self._feed.version
            try:
                self._feed.wait_change(version, self._begin())
            except EaselError as error:
                log.warning("webhooks could not be looked for: %s", error)
                self._closed.wait(LONGEST)
            except Exception:   # a border: a fault in one look must not end the telling for good
                log.exception("looking for webhooks")
                self._closed.wait(LONGEST)

    def _begin(self) -> float:
        """Send what is due, as far as threads are free; in how many seconds there may be more."""
        with self._lock:
            sending = [*self._sending]
        for notice in self._webhooks.due(now(), sending, THREADS - len(sending)):
            with self._lock:
                self._sending.add(notice.job)
            sending.append(notice.job)
            self._pool.submit(self._deliver, notice)
        due = self._webhooks.next_due(sending)
        longest = SENDING if sending else LONGEST
        return longest if due is None else min(max((due - now()).total_seconds(), 0.0), longest)

    def _deliver(self, notice: Notice) -> None:
        try:
            self._attempt(notice)
        except EaselError as error:
            log.warning("a webhook of job %s is tried again: %s", notice.job, error, extra={"job": notice.job})
        except Exception as error:      # a border: the pool would keep it to itself, and try it at once for ever
            log.exception("a webhook of job %s", notice.job, extra={"job": notice.job})
            self._put_off(notice, error)
        finally:
            with self._lock:
                self._sending.discard(notice.job)

    def _put_off(self, notice: Notice, error: Exception) -> None:
        try:
            self._webhooks.refused(notice, type(error).__name__, _next_attempt(notice.attempts))
        except EaselError as refusal:
            log.warning("a webhook of job %s is tried again: %s", notice.job, refusal, extra={"job": notice.job})

    def _attempt(self, notice: Notice) -> None:
        body = payload(self._job(notice.job, notice.owner), notice.ended)
        message = f"{notice.job}.{int(notice.ended.timestamp() * 1000)}"
        try:
            told = headers(message, int(time.time()), body, notice.webhook.secret)
            send(notice.webhook.url, body, told, self._allowed)
        except Gone as error:
            self._webhooks.refused(notice, str(error), None)
        except UserError as error:
            self._webhooks.refused(notice, str(error), _next_attempt(notice.attempts))
        else:
            self._webhooks.delivered(notice)


def payload(job: Job, ended: datetime) -> bytes:
    """What is told: the type of the event, when it was, and the job without its request."""
    problems = [{"field": problem.field, "message": problem.message} for problem in job.problems]
    data = {"id": job.id, "state": job.state, "problems": problems, "notes": list(job.notes),
            "images": [_picture(image) for image in job.images]}
    return json.dumps({"type": f"job.{job.state}", "timestamp": ended.isoformat(), "data": data}).encode()


def _picture(image: Image) -> dict[str, str | int]:
    return {"id": image.id, "index": image.index, "url": f"/api/images/{image.id}", "width": image.width,
            "height": image.height, "seed": image.seed, "format": image.format}


def _next_attempt(failed: int) -> datetime | None:
    return now() + timedelta(seconds=PAUSES[failed]) if failed < len(PAUSES) else None
