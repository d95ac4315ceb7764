"""One device: its worker process, the jobs in its hands, and the threads between them and the queue.

The reader follows the worker's events and replaces a worker that has ended or has to be ended; the feeder leases jobs
and sends commands; the recorder writes down results. Each waits for one thing only, so none holds up another.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import replace

from backend.catalog.request_files import files_of
from backend.dispatch.in_flight_limits import CELLS, Flight, has_room, room
from backend.dispatch.recorder import Lost, Recorder, Started
from backend.dispatch.supervisor_services import Services
from backend.dispatch.watchdog import Verdict, Watchdog
from backend.dispatch.worker_handle import Handle
from backend.errors import EaselError, Problem, StorageError, WorkerLost
from backend.extensions.blame import blame
from backend.messages import (
    Alive,
    Calls,
    Cancel,
    Cancelled,
    Command,
    Described,
    Done,
    Event,
    FacesCompared,
    FacesLocated,
    Failed,
    Hashed,
    Loading,
    Opening,
    Picture,
    Preprocess,
    Preprocessed,
    Preview,
    Progress,
    Ready,
    Refused,
    Run,
    Scored,
    Skip,
    Skipped,
    Stop,
    Unload,
    Waiting,
)
from backend.settings import Policy
from backend.store.jobs import Lease
from backend.store.view_types import Worker, WorkerState

BACK_OFF = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)     # seconds before a worker that ended without any result is replaced
POLL_SECONDS = 0.2
RETRY_SECONDS = 2.0                 # after the database has refused
RETRY_FAILED_SECONDS = 300.0        # between two tries of a worker that has failed to start too often
STOP_SECONDS = 5.0                  # a worker that has not stopped by then is killed
MAX_FALSE_STARTS = 5                # workers in a row that ended before they were ready

log = logging.getLogger(__name__)


class Supervisor:
    """Keeps one worker alive and busy from `start` until `close`."""

    def __init__(self, name: str, policy: Policy, new_worker: Callable[[], Handle], recorder: Recorder,
                 services: Services) -> None:
        self._policy, self._new_worker, self._recorder, self._services = policy, new_worker, recorder, services
        self._worker = Worker(name=name, state="starting")
        self._handle: Handle | None = None
        self._watchdog = Watchdog()
        self._flights: dict[str, Flight] = {}      # in the order in which they were sent
        self._outbox: deque[Command] = deque()
        self._ready = self._woken = self._closing = self._resting = False
        self._busy_at = time.monotonic()    # when the worker last did anything
        self._calls = Calls()               # as this life of the worker last told
        self._failures = self._false_starts = 0     # lives without a result; without even a Ready
        self._leasing = threading.Lock()    # so that a cancel finds a job either in the queue or in flight
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=target, name=f"{name}-{target.__name__.strip('_')}", daemon=True)
                         for target in (self._read, self._feed)]

    @property
    def worker(self) -> Worker:
        return self._worker

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """There may be jobs to lease."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def unload(self) -> None:
        """Tell the worker to free its device of models that nothing is drawn with."""
        with self._changed:
            if Unload() not in self._outbox:
                self._outbox.append(Unload())
            self._changed.notify_all()

    def rest(self, seconds: float) -> None:
        """Let the worker go, with its device or its wait for one, if it has had nothing to do for so long.

        `resume` brings another.
        """
        with self._leasing, self._changed:
            idle = (self._ready or self._worker.state == "waiting") and not self._flights and not self._outbox
            if idle and time.monotonic() - self._busy_at > seconds:
                self._resting, self._ready = True, False

    def resume(self) -> bool:
        """Start a worker again after `rest`. False where none was at rest."""
        with self._changed:
            rested, self._resting = self._resting, False
            self._changed.notify_all()
        return rested

    @property
    def is_coming(self) -> bool:
        """Whether a worker is on its way and not up yet."""
        with self._changed:
            return not (self._ready or self._resting or self._worker.state in ("failed", "stopped"))

    @property
    def name(self) -> str:
        return self._worker.name

    def is_free(self, *, alone: bool) -> bool:
        """Whether the worker is up and draws nothing but plots; with `alone` nothing at all."""
        with self._changed:
            return self._ready and all(flight.lease.plot and not alone for flight in self._flights.values())

    def measure(self, command: Command) -> None:
        """Have pictures looked at beside what is drawn; `Services` hears the answer, or that it will not come."""
        with self._changed:
            self._outbox.append(command)
            self._changed.notify_all()

    def leave(self, task: str) -> None:
        """Nobody waits any more for the answer to this `Preprocess`; one that stays at it is ended."""
        with self._changed:
            waiting = [one for one in self._outbox if isinstance(one, Preprocess) and one.task == task]
            for command in waiting:
                self._outbox.remove(command)
            if not waiting:
                self._outbox.append(Cancel(task))
                self._watchdog.unwanted(task)
                self._changed.notify_all()

    def cancel(self, job: str) -> bool:
        """Tell the worker to stop a job; False when the job is not in its hands."""
        return self._tell(Cancel(job))

    def skip(self, job: str) -> bool:
        """Tell the worker to go on with the job's next picture; False when the job is not in its hands."""
        return self._tell(Skip(job))

    def _tell(self, command: Cancel | Skip) -> bool:
        with self._leasing, self._changed:
            flight = self._flights.get(command.job)
            if flight is None:
                return False
            self._outbox.append(command)
            if isinstance(command, Cancel) and flight.started:
                self._watchdog.cancel(command.job)
            self._changed.notify_all()
            return True

    def recall(self, jobs: Collection[str]) -> None:
        """Ask for those jobs back that the worker holds and has not begun: they wait again."""
        with self._leasing, self._changed:
            for job in jobs:
                flight = self._flights.get(job)
                if flight and not flight.started and not flight.recalled:
                    flight.recalled = True
                    self._outbox.append(Cancel(job))
            self._changed.notify_all()

    def give_up_lost(self, jobs: Collection[str] | None) -> None:
        """Cancel what the worker still draws, of these jobs or of all, under leases that are over. StorageError."""
        with self._changed:
            leases = [flight.lease for job, flight in self._flights.items() if jobs is None or job in jobs]
        for lease in leases:
            if not self._services.jobs.is_held(lease.job, lease.token):
                self.cancel(lease.job)

    def drawn(self) -> list[str]:
        """What the worker has begun: jobs, and in the place of their cells plots."""
        with self._changed:
            return list(dict.fromkeys(flight.subject for flight in self._flights.values() if flight.started))

    def restart(self) -> None:
        """Try again after the worker has failed to start too often."""
        with self._changed:
            self._failures = self._false_starts = 0
            self._changed.notify_all()
        if self._worker.state == "failed":
            self._show("restarting")

    def close(self) -> None:
        """Stop the worker, record what it had finished, and give its jobs back to the queue unharmed."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._recorder.stop_retrying()
        for thread in self._threads:
            thread.join()
        self._recorder.close()
        try:
            self._services.jobs.release([flight.lease.token for flight in self._flights.values()])
        except StorageError as error:
            log.error("%s The next start takes the running jobs back.", error)
        self._show("stopped")

    # ---- the reader ----

    def _read(self) -> None:
        while not self._closing:
            end = self._life()
            if self._closing:
                return
            if end is None:
                self._rest()
                continue
            try:
                self._lost(end)
            except Exception:   # a border: whatever the end of a worker meets, another one follows it
                log.exception("the supervisor of %s", self._worker.name)
            with self._changed:
                pause = BACK_OFF[min(self._failures, len(BACK_OFF)) - 1]
                self._changed.wait_for(lambda: self._closing or not self._failures, pause)
                self._changed.wait_for(lambda: self._closing or self._false_starts < MAX_FALSE_STARTS,
                                       RETRY_FAILED_SECONDS)

    def _rest(self) -> None:
        with self._changed:
            self._handle, self._calls = None, Calls()
        self._services.measures.memory.pop(self._worker.name, None)
        self._show("resting", checkpoint="")
        with self._changed:
            self._changed.wait_for(lambda: self._closing or not self._resting)
        self._show("starting")

    def _life(self) -> Verdict | None:
        """One worker from its start to its end, and why it ended; None where it was let go."""
        handle = None
        try:
            with self._changed:
                self._watchdog = Watchdog()
            handle = self._handle = self._new_worker()
            while not self._closing:
                if verdict := self._look(handle):
                    return self._end(handle, verdict)
                if self._resting:
                    break
            verdict = Verdict(self._stop_worker(handle), blames=False)
            return None if self._resting else verdict
        except WorkerLost as lost:
            return None if self._resting else self._watchdog.ended(str(lost))
        except Exception as error:  # a border: an event that cannot be understood costs this worker, not the device
            log.exception("the supervisor of %s", self._worker.name)
            if handle:
                handle.kill()
            return Verdict(f"{type(error).__name__}: {error}", blames=True)

    def _look(self, handle: Handle) -> Verdict | None:
        """Deal with the next event; or, when there is none, see whether the worker has to be ended."""
        event = handle.receive(POLL_SECONDS)
        if event:
            self._on_event(event)
        with self._changed:
            if event:
                self._watchdog.on_event(event)
            return self._watchdog.verdict()

    def _end(self, handle: Handle, verdict: Verdict) -> Verdict:
        """Kill the worker, and keep what it had finished."""
        handle.kill()
        deadline = time.monotonic() + STOP_SECONDS
        try:
            while time.monotonic() < deadline:
                event = handle.receive(POLL_SECONDS)
                if isinstance(event, Picture | Skipped | Done | Cancelled):
                    self._on_event(event)
        except WorkerLost:
            log.info("worker %s has ended", self._worker.name)
        return verdict

    def _stop_worker(self, handle: Handle) -> str:
        threading.Thread(target=handle.send, args=(Stop(),), daemon=True).start()    # a stopped worker reads nothing
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            event = handle.receive(POLL_SECONDS)
            if isinstance(event, Picture | Skipped | Done):     # what fails now fails because it is being stopped
                self._on_event(event)
        handle.kill()
        return "it did not stop when asked"

    def _on_event(self, event: Event) -> None:
        if not isinstance(event, Alive | Waiting) or isinstance(event, Alive) and event.activity != "idle":
            self._busy_at = time.monotonic()
        match event:
            case Ready():
                self._false_starts = 0
                self._services.notice(self._worker.name, "")
                self._services.notice(f"extensions of {self._worker.name}", " ".join(event.notices))
                self._show("ready", device=event.device, dtype=event.dtype, memory=event.memory, speed=event.speed)
                self.wake()
            case Waiting():
                if event.done or self._worker.state != "waiting":
                    self._show("starting" if event.done else "waiting")
            case Refused():
                self._false_starts = MAX_FALSE_STARTS
                raise WorkerLost(event.message)
            case Loading():
                self._loading(event)
            case Hashed():
                self._services.catalog.remember_hash(event.kind, event.key, event.sha256)
            case Progress() | Preview() | Picture() | Skipped():
                self._drawing(event)
            case Done() | Failed() | Cancelled():
                self._over(event)
            case Scored() | Preprocessed() | FacesCompared() | FacesLocated() | Described():
                self._services.answered(event)
            case Alive():
                self._services.measures.called(self._worker.name, self._calls, event.calls)
                self._services.measures.memory[self._worker.name] = event.memory
                self._calls = event.calls
                with self._changed:
                    jobs = [*self._flights]
                self._services.live.catch_up(jobs)
            case Opening():
                return          # the watchdog's

    def _loading(self, event: Loading) -> None:
        self._show("ready" if event.done else "loading", checkpoint=event.checkpoint)
        text = "" if event.done else f"loading {event.checkpoint}\u2026"
        with self._changed:
            jobs = [job for job, flight in self._flights.items() if flight.lease.request.checkpoint == event.checkpoint]
        self._services.live.message(jobs, text)

    def _drawing(self, event: Progress | Preview | Picture | Skipped) -> None:
        with self._changed:
            flight = self._flights.get(event.job)
        if flight is None or flight.recalled and isinstance(event, Picture) and event.unfinished:
            return
        self._begun(flight)
        match event:
            case Progress():
                self._services.live.step(event.job, event.index, event.step, event.steps)
            case Preview():
                self._services.live.show(event.job, event.index, event.jpeg)
            case _:
                self._failures = 0
                self._services.live.picture_over(event.job, event.index)
                self._recorder.put((flight.lease, event))

    def _over(self, event: Done | Failed | Cancelled) -> None:
        with self._changed:
            flight = self._flights.pop(event.job, None)
            head = next(iter(self._flights.values()), None)
        if flight is None:
            return
        self._failures = 0
        if flight.recalled and isinstance(event, Cancelled):
            self._services.live.end(event.job)
            self._recorder.put(Lost((flight.lease.token,), "it was recalled", blames=False))
        else:
            self._recorder.put((flight.lease, event))
        if head:
            self._begun(head)
        self.wake()

    def _begun(self, flight: Flight) -> None:
        if not flight.started:
            flight.started = True
            self._services.measures.started(flight.lease.created)
            self._recorder.put((flight.lease, Started(flight.lease.job)))

    def _lost(self, end: Verdict) -> None:
        with self._leasing, self._changed:      # a lease that is being taken would stay in the hands of nobody
            flights, ready = list(self._flights.values()), self._ready
            self._flights.clear()
            self._outbox.clear()
            self._handle, self._ready, self._calls = None, False, Calls()
        log.error("worker %s lost: %s", self._worker.name, end.why)
        self._failures += end.blames
        self._false_starts += not ready
        try:
            flights = self._blamed(end, flights)
        except Exception:       # a border: what cannot be said of an extension must not cost its jobs
            log.exception("the supervisor of %s", self._worker.name)
        if flights:     # first of all: whatever comes after it, the jobs are not left in nobody's hands
            blames = end.blames and not end.extension
            self._recorder.put(Lost(tuple(flight.lease.token for flight in flights), end.why, blames))
        failed = self._false_starts >= MAX_FALSE_STARTS
        self._show("failed" if failed else "restarting", message=end.why, checkpoint="")
        if failed:
            self._services.notice(self._worker.name, f"The worker for {self._worker.name} does not start: {end.why}. "
                                  "Jobs wait; it is tried again every few minutes, and the reason is in the log.")
        for flight in flights:
            self._services.live.end(flight.lease.job)
        self._services.measures.memory.pop(self._worker.name, None)
        self._services.lost(self._worker.name)

    def _blamed(self, end: Verdict, flights: list[Flight]) -> list[Flight]:
        """Switch off the extension in whose code the worker ended, which fails the jobs that it was for; the others.

        One that let no cancel through fails none: what was to be cancelled is.
        """
        if not end.extension:
            return flights
        why = f"{blame(end.extension)}The worker process was lost in its code: {end.why}."
        self._services.extension_failed(end.extension, why)
        lost = [flight for flight in flights if end.blames and flight.lease.job in end.jobs]
        for flight in lost:
            self._services.live.end(flight.lease.job)
            self._recorder.put((flight.lease, Failed(flight.lease.job, (Problem(why),))))
        return [flight for flight in flights if flight not in lost]

    def _show(self, state: WorkerState, **facts: str | float) -> None:
        with self._changed:
            self._ready = state in ("ready", "loading") and not self._resting
            self._worker = replace(self._worker, state=state, **{"message": "", **facts})
        self._services.changed()

    # ---- the feeder ----

    def _feed(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._ready and (self._outbox or self._wants()))
                if self._closing:
                    return
            try:
                self._serve()
                self._services.notice("queue", "")
            except Exception as error:      # a border: a fault in one round must not leave the device idle for good
                log.exception("the supervisor of %s", self._worker.name)
                self._services.notice("queue", f"{error} Jobs wait until it is mended.")
                self._pause()

    def _wants(self) -> bool:
        return self._woken and has_room(self._policy, self._flights.values())

    def _pause(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing, RETRY_SECONDS)
            self._woken = True

    def _serve(self) -> None:
        """One round: send what waits, and fill the worker's hands."""
        with self._changed:
            handle, commands = self._handle, list(self._outbox)
            if not self._ready or handle is None:
                return
            self._outbox.clear()
        for command in commands:
            self._command(handle, command)
        with self._leasing:
            with self._changed:
                if not self._ready or self._handle is not handle:
                    return
                wants, held = self._wants(), list(self._flights)
                free = room(self._policy, self._flights.values())
                self._woken = self._woken and not wants
            leases = self._lease(held, free) if wants else []
        for lease in leases:
            self._send(handle, lease)

    def _command(self, handle: Handle, command: Command) -> None:
        """Send a command; where it cannot be, whoever waits for an answer hears that none will come."""
        try:
            handle.send(command)
        except Exception:       # a border: what is behind it must be sent all the same
            log.exception("a %s could not be sent to a worker", type(command).__name__)
            if not isinstance(command, Cancel | Skip | Unload):
                self._services.lost(self._worker.name)

    def _lease(self, held: list[str], free: int) -> list[Lease]:
        leases = self._services.jobs.lease(self._worker.name, free, held, CELLS[self._policy], self._will_hold())
        with self._changed:
            for number, lease in enumerate(leases):
                self._flights[lease.job] = Flight(lease, started=not held and not number)
        return leases

    def _will_hold(self) -> str:
        """The checkpoint that the worker holds when it has drawn what is in its hands."""
        with self._changed:
            needed = [flight.lease.request.checkpoint for flight in self._flights.values()]
        return next(filter(None, reversed(needed)), self._worker.checkpoint)

    def _send(self, handle: Handle, lease: Lease) -> None:
        """Send a leased job, or let it fail; whatever happens to one, the others are sent."""
        try:
            self._services.live.begin(lease.job, lease.owner, lease.request.count, lease.indices)
            self._hand_over(handle, lease)
        except Exception as error:      # a border: a job that was not sent must not stay in flight
            log.exception("job %s could not be sent to a worker", lease.job, extra={"job": lease.job})
            self._over(Failed(lease.job, (Problem(f"The job could not be sent to a worker: {error}"),)))

    def _hand_over(self, handle: Handle, lease: Lease) -> None:
        if refused := tuple(self._services.refused(lease.request)):
            self._over(Failed(lease.job, refused))
            return
        try:
            files = files_of(lease.request, self._services.catalog)
            pictures = self._services.uploads.of(lease.request, lease.owner)
        except EaselError as error:
            self._over(Failed(lease.job, error.problems))
            return
        if not lease.indices:       # its worker died between the last picture and the word that it was the last
            self._over(Done(lease.job))
            return
        handle.send(Run(lease.job, lease.owner, lease.request, lease.indices, files, pictures, lease.plot))
        self._services.changed(lease.owner)
