"""Writes down what a worker has achieved: pictures to files, rows to the database, news to the pages.

One thread per worker, apart from the one that reads its events, because compressing a picture takes long. Events of a
job are recorded in the order in which they came. Few may wait: a disk that cannot keep up slows the worker down
instead of filling the memory.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from backend.errors import DatabaseAway, EaselError, Problem, StorageError
from backend.image.file_names import GRID
from backend.messages import Cancelled, Done, Failed, Picture, Skipped
from backend.store.history import History
from backend.store.jobs import Change, Jobs, Lease
from backend.store.picture_files import Pictures
from backend.store.view_types import Image

MAX_WAITING = 8                 # events; a picture is megabytes
RETRY_SECONDS = 2.0             # between two attempts to write to a database that refuses
NO_GRID = "The grid could not be saved; the log says why."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Started:
    """The worker works on the job now."""

    job: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker ended with these leases in its hands. `blames`: what it was drawing may have been the cause."""

    leases: tuple[str, ...]
    why: str
    blames: bool


Outcome = Started | Picture | Skipped | Done | Failed | Cancelled
Entry = tuple[Lease, Outcome] | Lost


class Listener(Protocol):
    """Who wants to hear what was recorded."""

    def job_changed(self, change: Change) -> None: ...

    def picture_saved(self, lease: Lease, image: Image) -> None: ...

    def flight_over(self, lease: Lease) -> None:
        """The worker has nothing more to do with the job, whose owner may have cancelled it meanwhile."""

    def picture_refused(self, lease: Lease) -> None:
        """The job failed because its picture could not be saved; its worker still draws."""

    def notice(self, source: str, text: str) -> None:
        """A trouble that everybody should know of; an empty text when it is over."""

    def extension_failed(self, package: str, why: str) -> None:
        """A worker draws on without this extension."""


class Recorder:
    """`put` may block (back-pressure). Nothing is dropped: what cannot be written is tried again until `close`."""

    def __init__(self, jobs: Jobs, history: History, pictures: Pictures, listener: Listener) -> None:
        self._jobs, self._history, self._pictures, self._listener = jobs, history, pictures, listener
        self._waiting: queue.Queue[Entry | None] = queue.Queue(MAX_WAITING)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def put(self, entry: Entry) -> None:
        self._waiting.put(entry)

    def stop_retrying(self) -> None:
        """From now on try every write only once."""
        self._closing.set()

    def close(self) -> None:
        """Record what waits and end."""
        self._closing.set()
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (entry := self._waiting.get()) is not None:
            try:
                self._write_down(entry)
            except Exception as error:  # a border: without this thread the device would wait for it for good
                log.exception("what a worker has told could not be recorded")
                self._give_up(entry, error)

    def _write_down(self, entry: Entry) -> None:
        if isinstance(entry, Lost):
            self._lost(entry)
            return
        lease, outcome = entry
        try:
            self._record(lease, outcome)
        finally:
            if isinstance(outcome, Done | Cancelled | Failed):
                self._listener.flight_over(lease)

    def _give_up(self, entry: Entry, error: Exception) -> None:
        """After an error that nobody foresaw: jobs end or wait again, instead of running for ever in nobody's hands."""
        try:
            if isinstance(entry, Lost):
                self._change(lambda: self._jobs.release(entry.leases))
            else:
                self._refuse(entry[0], [Problem(f"What the worker did for this job could not be recorded: {error}")])
        except Exception:       # the same border
            log.exception("nor that it could not be recorded")

    def _record(self, lease: Lease, outcome: Outcome) -> None:
        match outcome:
            case Picture():
                self._picture(lease, outcome)
            case Started():
                self._change(lambda: [self._jobs.start(lease.job, lease.token)])
            case Skipped():
                self._write_until_done(lambda: self._jobs.skip(lease.job, lease.token, outcome.index))
            case Done():
                self._grid(lease)
                self._change(lambda: [self._jobs.finish(lease.job, lease.token, "done")])
            case Cancelled():
                self._change(lambda: [self._jobs.finish(lease.job, lease.token, "cancelled")])
            case Failed():
                log.error("job %s failed: %s\n%s", lease.job, "; ".join(map(str, outcome.problems)), outcome.detail,
                          extra={"job": lease.job})
                if outcome.extension:
                    self._listener.extension_failed(outcome.extension, outcome.problems[0].message)
                self._fail(lease, outcome.problems)

    def _picture(self, lease: Lease, picture: Picture) -> None:
        try:
            image = self._write_until_done(lambda: self._saved(lease, picture), DatabaseAway)
        except Exception as error:  # a border: whatever one picture does to the encoder, the next job is still recorded
            log.exception("picture %d of job %s could not be saved", picture.index, lease.job,
                          extra={"job": lease.job})
            unknown = Problem(f"Picture {picture.index + 1} could not be saved: {error}")
            self._refuse(lease, error.problems if isinstance(error, EaselError) else [unknown])
        else:
            if image:
                self._listener.picture_saved(lease, image)

    def _saved(self, lease: Lease, picture: Picture) -> Image | None:
        if not self._jobs.is_held(lease.job, lease.token):
            return None
        saved = self._pictures.write(lease, picture, partial(self._history.is_free, lease.job, picture.index))
        return self._history.add(lease.job, lease.token, saved)

    def _grid(self, lease: Lease) -> None:
        """All pictures of a finished job in one, if that is wanted; a grid that cannot be made costs nothing else."""
        if not lease.request.save_grid or lease.request.count < 2:
            return
        try:
            image = self._write_until_done(lambda: self._saved_grid(lease), DatabaseAway)
        except Exception:   # a border: the pictures are safe, and the job is done
            log.exception("the grid of job %s could not be saved", lease.job, extra={"job": lease.job})
            self._write_until_done(lambda: self._jobs.note(lease.job, lease.token, NO_GRID))
        else:
            if image:
                self._listener.picture_saved(lease, image)

    def _saved_grid(self, lease: Lease) -> Image | None:
        images, paths = self._history.of_job(lease.job, lease.owner)
        if len(images) < 2 or not self._jobs.is_held(lease.job, lease.token):
            return None
        saved = self._pictures.write_grid(lease, images, paths, partial(self._history.is_free, lease.job, GRID))
        return self._history.add(lease.job, lease.token, saved)

    def _refuse(self, lease: Lease, problems: Collection[Problem]) -> None:
        self._fail(lease, problems)
        self._listener.picture_refused(lease)

    def _fail(self, lease: Lease, problems: Collection[Problem]) -> None:
        self._change(lambda: [self._jobs.finish(lease.job, lease.token, "failed", problems)])

    def _lost(self, entry: Lost) -> None:
        if not entry.blames:
            self._change(lambda: self._jobs.release(entry.leases))
            return
        problem = Problem(f"The worker process ended twice while it drew the same picture of this job ({entry.why}). "
                          "Try smaller sizes or fewer pictures at once; the details are in the log.")
        self._change(lambda: self._jobs.lose(entry.leases, problem))

    def _change(self, write: Callable[[], Collection[Change | None]]) -> None:
        for change in self._write_until_done(write) or ():
            if change:
                self._listener.job_changed(change)

    def _write_until_done(self, write: Callable[[], Any], refusal: type[StorageError] = StorageError) -> Any:
        """Write to the database however long it refuses in this way, lest the result is forgotten.

        None when `stop_retrying` ends that.
        """
        refused = False
        while True:
            try:
                result = write()
            except refusal as error:
                log.error("%s", error)
                refused = True
                self._listener.notice("recorder", f"{error} Jobs go on when it can be written again.")
                if self._closing.wait(RETRY_SECONDS):
                    return None
            else:
                if refused:
                    self._listener.notice("recorder", "")
                return result
