"""The front's side of the workers: one supervisor per device, and the events that tell the pages what they do."""

from __future__ import annotations

import base64
import dataclasses
import logging
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from backend.catalog.background_scan import READING
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import CHECKPOINT
from backend.dispatch.event_feed import EventFeed
from backend.dispatch.feasibility import check
from backend.dispatch.metrics import Measures
from backend.dispatch.picture_inspection import Preprocessing
from backend.dispatch.plot_changes import PlotChanges
from backend.dispatch.progress import LiveJobs
from backend.dispatch.recorder import Recorder
from backend.dispatch.scoring import Scoring
from backend.dispatch.supervisor import Supervisor
from backend.dispatch.supervisor_services import Services
from backend.dispatch.worker_handle import Handle
from backend.errors import Problem
from backend.extensions.blame import blame
from backend.extensions.manifest import name_of
from backend.messages import Looked, Scored
from backend.request.request import Request
from backend.settings import Policy
from backend.store.history import History
from backend.store.job_rows import QueuedRow
from backend.store.jobs import Change, Jobs, Lease
from backend.store.picture_files import Pictures
from backend.store.plots import PlotLine, Plots
from backend.store.uploads import Uploads
from backend.store.view_types import ENDED, Image, Live, Status

SHOWN_JOBS = 12                 # of an owner's queue that an event names; pages ask for more

log = logging.getLogger(__name__)


class Dispatcher:
    """Runs the queue on the workers. Thread-safe; nothing here waits for a worker but `close`."""

    def __init__(self, jobs: Jobs, history: History, pictures: Pictures, catalog: ModelCatalog,
                 uploads: Uploads, extension_failed: Callable[[str, str], None] = lambda package, why: None,
                 refused: Callable[[Request], Iterable[Problem]] = lambda request: ()) -> None:
        """`extension_failed(package, why)` is called when a worker draws on without an extension.

        `refused(request)` says why a request that was queued cannot be drawn any more.
        """
        self.live = LiveJobs(self._progress)
        self.plot_changes = PlotChanges()
        self._plots = Plots(jobs)
        self.feed = EventFeed(self._queue_event, self._status_event, self._plot_events)
        self._jobs, self._history, self._pictures = jobs, history, pictures
        self.scoring = Scoring(jobs.database, catalog, pictures, self._may_measure, self._scored)
        self.preprocessing = Preprocessing()
        self._extension_failed = extension_failed
        self.measures = Measures()
        self._services = Services(jobs=jobs, live=self.live, catalog=catalog, uploads=uploads,
                                  changed=self.feed.touch, notice=self.notice, answered=self._answered,
                                  lost=self._lost, extension_failed=self.extension_failed, refused=refused,
                                  measures=self.measures)
        self._supervisors: list[Supervisor] = []
        self._notices: list[str] = []       # for as long as Easel runs
        self._troubles: dict[str, str] = {}     # by source, for as long as they last
        self._reads_models = False
        self._policy: Policy = "solo"
        self._lock = threading.Lock()
        self.say_to_others: Callable[[Collection[Any]], bool] = lambda message: False   # whether there are other fronts

    def start(self, workers: dict[str, Callable[[], Handle]], policy: Policy) -> None:
        """Start a supervisor for each device name; the function starts its worker, again after each loss."""
        self._policy = policy
        for name, new_worker in workers.items():
            self.add(name, new_worker)
        self.scoring.start(self._supervisors)
        self.preprocessing.start(self._supervisors)

    def add(self, name: str, new_worker: Callable[[], Handle]) -> None:
        """One more device, after `start`."""
        recorder = Recorder(self._jobs, self._history, self._pictures, self)
        supervisor = Supervisor(name, self._policy, new_worker, recorder, self._services)
        self._supervisors.append(supervisor)
        supervisor.start()

    def check(self, request: Request) -> None:
        """InvalidRequest when no device can draw this. NotFound and CheckpointError for its checkpoint."""
        if self._supervisors:
            checkpoint = self._services.catalog.find(CHECKPOINT, request.checkpoint)
            check(request, checkpoint, [supervisor.worker for supervisor in self._supervisors])

    def queued(self, owner: str) -> None:
        """The owner has new jobs."""
        self.feed.touch(owner)
        for supervisor in self._supervisors:
            supervisor.wake()

    def arrived(self, owner: str) -> None:
        """The owner has new single jobs: they do not wait for cells of plots that no worker has begun."""
        if cells := self._jobs.look.cells_ahead():
            self.recall(owner, cells)
        self.queued(owner)

    def cleared(self, owner: str, jobs: Collection[str]) -> None:
        """These waiting jobs of the owner were cancelled."""
        self.taken_back(owner, jobs)
        self._publish(owner, {"type": "cleared", "count": len(jobs)})
        self.feed.touch(owner)

    def taken_back(self, owner: str, jobs: Collection[str]) -> None:
        """These jobs wait no longer; a worker may have leased some of them ahead."""
        for job in jobs:
            if self.cancel(job):
                self._forget(owner, job)

    def cancel(self, job: str) -> bool:
        """Tell whichever worker has the job; False when none has."""
        return any(supervisor.cancel(job) for supervisor in self._supervisors)

    def skip(self, job: str) -> bool:
        """Tell whichever worker has the job to go on with its next picture; False when none has."""
        return self._skip(job) or self.say_to_others(["skip", job])

    def _skip(self, job: str) -> bool:
        return any(supervisor.skip(job) for supervisor in self._supervisors)

    def unload(self) -> None:
        """Tell the workers to free their devices of what nothing is drawn with."""
        for supervisor in self._supervisors:
            supervisor.unload()

    def rest(self, seconds: float) -> None:
        """Let workers go, with their devices, that have had nothing to do for so long."""
        for supervisor in self._supervisors:
            supervisor.rest(seconds)

    def resume(self, count: int) -> None:
        """Have so many workers come, those that are on their way counted, by starting some again that were let go."""
        count -= sum(supervisor.is_coming for supervisor in self._supervisors)
        for supervisor in self._supervisors:
            if count <= 0:
                return
            count -= supervisor.resume()

    def recall(self, owner: str | None, jobs: Collection[str]) -> None:
        """The owner's queue, or with None everybody's, has changed: these jobs are not begun before others."""
        self._recall(jobs)
        self.say_to_others(["recall", list(jobs)])
        self.feed.touch(owner)

    def _recall(self, jobs: Collection[str]) -> None:
        for supervisor in self._supervisors:
            supervisor.recall(jobs)

    def dismissed(self, owner: str) -> None:
        """The owner has read how jobs ended; other pages of his need not tell it again."""
        self._publish(owner, {"type": "dismissed"})

    def restart(self) -> None:
        """Give failed workers another try."""
        for supervisor in self._supervisors:
            supervisor.restart()

    def drawn(self) -> dict[str, int]:
        """How many jobs each worker draws, by its name."""
        return {each.worker.name: len(each.drawn()) for each in self._supervisors}

    def status(self) -> Status:
        with self._lock:
            notices = (*self._notices, *self._troubles.values())
        return Status(workers=tuple(supervisor.worker for supervisor in self._supervisors), notices=notices)

    def add_notice(self, text: str) -> None:
        """Tell everybody, until Easel is started anew."""
        log.warning("%s", text)
        with self._lock:
            self._notices.append(text)
        self.feed.touch()

    def models_are_read(self, is_reading: bool) -> None:
        """Whether the models folders are still being looked through for the first time."""
        self._reads_models = is_reading
        self.notice("models", READING if is_reading else "")

    def close(self) -> None:
        """Stop the workers; their running jobs wait again."""
        self.scoring.close()
        closing = [threading.Thread(target=supervisor.close) for supervisor in self._supervisors]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()
        self.feed.close()

    # ---- what the recorders and supervisors tell ----

    def job_changed(self, change: Change) -> None:
        if change.state in ENDED:
            self.measures.ended(change.state)
        if change.state != "running":
            self._forget(change.owner, change.job)
        if change.plot:
            self.plot_changes.cell(change.owner, change.plot, change.cell, done=change.state == "done")
            self.scoring.look(change.plot)
        else:
            problems = [{"field": problem.field, "message": problem.message} for problem in change.problems]
            self._publish(change.owner, {"type": "job", "id": change.job, "state": change.state,
                                             "problems": problems, "notes": list(change.notes)})
        self.queued(change.owner) if change.state == "queued" else self.feed.touch(change.owner)

    def picture_saved(self, lease: Lease, image: Image) -> None:
        self.measures.saved()
        if lease.plot:
            self.scoring.look(lease.plot)
        plot = {"plot": lease.plot} if lease.plot else {}
        self._publish(lease.owner, {"type": "image", "job": image.job, "image": image.summary(), **plot})
        self.feed.touch(lease.owner)

    def flight_over(self, lease: Lease) -> None:
        self.live.end(lease.job)

    def picture_refused(self, lease: Lease) -> None:
        self.cancel(lease.job)

    def notice(self, source: str, text: str) -> None:
        with self._lock:
            if text == self._troubles.get(source, ""):
                return
            self._troubles.pop(source, "")
            if text:
                self._troubles[source] = text
        self.feed.touch()

    def _forget(self, owner: str, job: str) -> None:
        """No worker is at the job any more."""
        self.live.end(job)
        self.feed.ended(owner, job)

    def _publish(self, owner: str, event: dict[str, Any]) -> None:
        """To the pages of all fronts."""
        self.feed.publish(owner, event)
        self.say_to_others(["news", owner, event])

    # ---- beside other fronts on the same database ----

    def rows_changed(self, rows: Collection[QueuedRow], *, maybe_others: bool = False) -> None:
        """Other fronts have changed these rows of jobs; `maybe_others`: and any that are not among them."""
        for row in rows:
            if row.cancelling or row.state in ENDED:
                self.cancel(row.id)
            if row.state != "running":
                self._forget(row.owner, row.id)
            if row.plot:
                self.plot_changes.cell(row.owner, row.plot, row.cell or "", done=row.state == "done")
        for supervisor in self._supervisors:
            supervisor.give_up_lost(None if maybe_others else {row.id for row in rows})
            supervisor.wake()
        for owner in {row.owner for row in rows}:
            self.feed.touch(owner)

    def hear(self, message: Sequence[Any]) -> None:
        """Another front says this by `say_to_others`."""
        match message:
            case ["news", owner, event]:
                self.feed.publish(owner, event)
                self.feed.touch(owner)
            case ["live", owner, live, preview]:
                self._hear_progress(owner, Live(**live), base64.b64decode(preview))
            case ["skip", job]:
                self._skip(job)
            case ["recall", jobs]:
                self._recall(jobs)
            case ["plot", owner, plot]:
                self._plot_changed(owner, plot)
            case ["plot_gone", owner, plot]:
                self._plot_gone(owner, plot)

    def _hear_progress(self, owner: str, live: Live, preview: bytes) -> None:
        """What comes late, when the job has ended, is passed over."""
        if self._jobs.is_pending(live.job):
            self.live.hear(owner, live, preview)
            self._show_progress(owner, live)

    # ---- what the feed asks ----

    def _progress(self, owner: str, live: Live) -> None:
        jpeg = base64.b64encode(self.live.preview(live.job) or b"").decode()
        self.say_to_others(["live", owner, dataclasses.asdict(live), jpeg])
        self._show_progress(owner, live)

    def _show_progress(self, owner: str, live: Live) -> None:
        """Of a cell nothing is told: its plot tells how far it is as a whole."""
        if self._jobs.look.plot_of(live.job):
            return
        told = {name: value for name, value in dataclasses.asdict(live).items() if name not in ("done", "count")}
        self.feed.progress(owner, {"type": "progress", **told})

    def _queue_event(self, owner: str) -> dict[str, Any]:
        queue = self._jobs.overview(owner, limit=SHOWN_JOBS)
        drawn = {job: each.worker.name for each in self._supervisors for job in each.drawn()}
        jobs = [{**dataclasses.asdict(job), "worker": drawn.get(job.id, "")} for job in queue.jobs]
        return {"type": "queue", "jobs": jobs, "total": queue.total, "paused": queue.paused,
                "all_paused": queue.all_paused}

    def _plot_events(self, owner: str) -> list[dict[str, Any]]:
        untold = self.plot_changes.untold(owner)
        lines = self._plots.told(untold, owner) if untold else []
        # The number makes an event new where cells changed and the counts did not, as when scores arrive.
        told = [{"type": "plot", **self.plot_state(line), "change": untold[line.head.id]} for line in lines]
        self.plot_changes.told(owner, untold)
        return told

    def plot_state(self, line: PlotLine) -> dict[str, Any]:
        """How far a plot is: what a page shows of it before it looks at the cells."""
        counts, pace = line.counts, self.plot_changes.pace(line.head.id)
        eta = pace * counts.left if pace is not None and not line.head.paused else None
        return {"id": line.head.id, "title": line.head.title, "state": counts.state(line.head.paused),
                "done": counts.done, "failed": counts.failed, "total": counts.total, "eta": eta}

    def plot_changed(self, owner: str, plot: str) -> None:
        """More than single cells of a plot are otherwise; new ones may wait."""
        self.say_to_others(["plot", owner, plot])
        self.scoring.look(plot)
        self._plot_changed(owner, plot)

    def _plot_changed(self, owner: str, plot: str) -> None:
        self.plot_changes.whole(owner, plot)
        self.queued(owner)

    def extension_failed(self, package: str, why: str) -> None:
        """See `Listener`."""
        name, reason = name_of(package), why.removeprefix(blame(package))
        self.notice(f"extension {name}", f"The extension {name} is switched off. {reason}")
        self._extension_failed(package, reason)

    def _scored(self, owner: str, plot: str, cells: Collection[str]) -> None:
        for cell in cells:
            self.plot_changes.cell(owner, plot, cell)
        if not cells:
            self.plot_changes.beside(owner, plot)
        self.feed.touch(owner)

    def _answered(self, answer: Scored | Looked) -> None:
        asked = self.scoring if isinstance(answer, Scored) else self.preprocessing
        asked.received(answer)

    def _lost(self, worker: str) -> None:
        self.measures.error("worker")
        self.scoring.lost(worker)
        self.preprocessing.lost(worker)

    def _may_measure(self) -> bool:
        return not self._jobs.look.singles_wait()

    def plot_gone(self, owner: str, plot: str) -> None:
        """The plot was deleted."""
        self.say_to_others(["plot_gone", owner, plot])
        self._plot_gone(owner, plot)

    def _plot_gone(self, owner: str, plot: str) -> None:
        self.plot_changes.forget(owner, plot)
        self.feed.ended(owner, plot, "plot")
        self.feed.publish(owner, {"type": "plot_gone", "id": plot})
        self.feed.touch(owner)

    def _status_event(self) -> dict[str, Any]:
        """Of other people's jobs a page learns how many are drawn, and nothing else."""
        workers = [{**dataclasses.asdict(each.worker), "drawing": len(each.drawn())} for each in self._supervisors]
        return {"type": "status", "workers": workers, "notices": list(self.status().notices),
                "reads_models": self._reads_models}
