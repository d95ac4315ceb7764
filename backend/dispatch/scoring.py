"""Has pictures of plots measured by the workers, one at a time, while no picture of anybody else waits.

What is to be done is asked of the store again and again, so nothing here has to survive: a worker or an Easel that
ends in the middle only costs the measurement that it was at.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from backend.catalog import inception_files
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import CLIP, INCEPTION, ModelFile
from backend.errors import EaselError, NotFound, StorageError
from backend.messages import MeasureDistance, Score, Scored
from backend.prompt.plain_text import plain_text
from backend.store.database import Database
from backend.store.fid_distances import Distances, ToCompare, dataset
from backend.store.picture_files import Pictures
from backend.store.scores import Scores, ToMeasure
from backend.store.wanted_scores import SEEING, PlotPicture

TOGETHER = 32               # pictures that are asked of the store at once
IN_HAND = 2                 # of a worker: one that is measured, one ahead
MOST_DEATHS = 3             # of workers over one picture; then it is said not to be measurable
LOOK_SECONDS = 0.25         # between two looks for a worker that is free
RETRY_SECONDS = 5.0         # after the database has refused
MARK = "@"                  # between a CLIP's name and its hash
KILLED = "the worker process ended three times while it measured this picture"

NO_NETWORK = (f"FID needs the Inception network of torch-fidelity, which is not here: put {inception_files.FILE} from "
              f"its release v0.2.0 into models/{inception_files.FOLDER}.")

log = logging.getLogger(__name__)


class Measurer(Protocol):
    """A worker as far as measuring is concerned."""

    @property
    def name(self) -> str: ...

    def is_free(self, *, alone: bool) -> bool:
        """Whether it may measure: it is up and draws nothing but plots, with `alone` nothing at all."""

    def measure(self, command: Score | MeasureDistance) -> None: ...


Work = ToMeasure | ToCompare
Waiting = TypeVar("Waiting")


@dataclass(frozen=True, slots=True)
class _Sent:
    work: Work
    worker: str


class Scoring:
    """Thread-safe. `may()` tells whether nobody's other pictures wait; `told(owner, plot, cells)` is called when scores
    have come."""

    def __init__(self, database: Database, catalog: ModelCatalog, pictures: Pictures, may: Callable[[], bool],
                 told: Callable[[str, str, Collection[str]], None]) -> None:
        self._catalog, self._pictures, self._may, self._told = catalog, pictures, may, told
        self._scores, self._distances = Scores(database), Distances(database)
        self._workers: Sequence[Measurer] = ()
        self._plots: deque[str] = deque()           # that may lack something
        self._ready: deque[Work] = deque()
        self._sent: dict[str, _Sent] = {}
        self._answers: deque[Scored] = deque()
        self._deaths: Counter[str] = Counter()
        self._closing = self._woken = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="scoring", daemon=True)

    def start(self, workers: Sequence[Measurer]) -> None:
        """More may join the `workers` later."""
        self._workers = workers
        self._plots.extend(self._scores.plots())
        self._thread.start()

    def look(self, plot: str) -> None:
        """The plot may lack scores."""
        with self._changed:
            if plot not in self._plots:
                self._plots.append(plot)
            self._wake()

    def received(self, answer: Scored) -> None:
        """A worker has answered."""
        with self._changed:
            self._answers.append(answer)
            self._wake()

    def lost(self, worker: str) -> None:
        """The worker has ended with what was in its hands."""
        with self._changed:
            for task in [task for task, sent in self._sent.items() if sent.worker == worker]:
                work = self._sent.pop(task).work
                self._deaths[task] += 1
                if self._deaths[task] < MOST_DEATHS:
                    self._ready.append(work)
                else:
                    self._sent[task] = _Sent(work, "")
                    self._answers.append(Scored(task, problems=dict.fromkeys(work.kinds, KILLED)))
            self._wake()

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._wake()
        if self._thread.is_alive():
            self._thread.join()

    # ---- the thread ----

    def _run(self) -> None:
        while not self._closing:
            try:
                self._round()
                with self._changed:
                    self._changed.wait_for(lambda: self._woken, LOOK_SECONDS if self._ready or self._plots else None)
                    self._woken = False
            except Exception:   # a border: a fault in one round must not end measuring for good
                log.exception("measuring pictures")
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, RETRY_SECONDS)

    def _wake(self) -> None:
        self._woken = True
        self._changed.notify_all()

    def _round(self) -> None:
        """Write down what was told, and hand out what there is room for."""
        while self._answers:
            self._taken(self._answers, self._answers[0], self._record)
        if not self._ready and self._plots:
            self._taken(self._plots, self._plots[0], self._fill)
        for work in list(self._ready) if self._may() else ():
            if worker := self._free_worker(alone=isinstance(work, ToCompare) or self._deaths[work.task] > 0):
                self._taken(self._ready, work, partial(self._send, worker))

    def _taken(self, waiting: deque[Waiting], one: Waiting, do: Callable[[Waiting], None]) -> None:
        """Do something with one that waits. Where the database refuses it waits on; no other error comes twice."""
        with self._changed:
            waiting.remove(one)
        try:
            do(one)
        except StorageError:
            with self._changed:
                if one not in waiting:
                    waiting.appendleft(one)
            raise

    def _fill(self, plot: str) -> None:
        works: list[Work] = [*self._scores.missing(plot, TOGETHER)]
        if not works and (distance := self._distances.waiting(plot)):
            works.append(distance)
        with self._changed:
            self._ready.extend(work for work in works if work.task not in self._sent)
            if len(works) == TOGETHER and plot not in self._plots:
                self._plots.append(plot)

    def _free_worker(self, alone: bool) -> Measurer | None:
        held = Counter(sent.worker for sent in self._sent.values())
        return next((worker for worker in self._workers
                     if held[worker.name] < IN_HAND and worker.is_free(alone=alone)), None)

    def _send(self, worker: Measurer, work: Work) -> None:
        try:
            command = self._comparison(work) if isinstance(work, ToCompare) else self._command(work)
        except StorageError:
            raise
        except Exception as error:      # a border: what cannot be sent is said of it, and does not wait for ever
            if not isinstance(error, EaselError):
                log.exception("a picture could not be sent to be measured")
            self._keep(work, Scored(work.task, problems=dict.fromkeys(work.kinds, str(error))))
            return
        if command:
            with self._changed:
                self._sent[work.task] = _Sent(work, worker.name)
            worker.measure(command)

    def _command(self, work: ToMeasure) -> Score | None:
        """None where the CLIP is another one than before: then all is wanted anew. Raises EaselError."""
        encoder = None
        if any(kind in SEEING for kind in work.kinds):
            encoder = self._catalog.find(CLIP, work.encoder.rpartition(MARK)[0])
            if (mark := encoder_mark(self._catalog, encoder)) != work.encoder:
                self._scores.see_through(work.plot, mark)
                self.look(work.plot)
                return None
        reference = self._file(work.reference) if work.reference else b""
        return Score(work.task, tuple(map(self._file, work.pictures)), work.kinds,
                     plain_text(work.prompt, work.steps), reference, encoder)

    def _comparison(self, work: ToCompare) -> MeasureDistance:
        """Raises EaselError."""
        networks = self._catalog.usable(INCEPTION)
        if not networks:
            raise NotFound(NO_NETWORK)
        sides = [self._paths(side) for side in (work.first, work.second)]
        if min(map(len, sides)) < 2:
            raise NotFound("each of the two sets needs at least two pictures that are drawn")
        return MeasureDistance(work.task, *sides, networks[0])

    def _paths(self, side: Sequence[PlotPicture] | str) -> tuple[str, ...]:
        if isinstance(side, str):
            return tuple(str(file) for file in dataset(self._pictures.outputs, side))
        return tuple(str(self._pictures.file(picture.path)) for picture in side)

    def _file(self, picture: PlotPicture) -> bytes:
        try:
            return self._pictures.file(picture.path).read_bytes()
        except OSError as error:
            raise NotFound("the picture's file cannot be read") from error

    def _record(self, answer: Scored) -> None:
        with self._changed:
            sent = self._sent.pop(answer.task, None)
        if sent is None:
            return
        try:
            self._keep(sent.work, answer)
        except StorageError:
            with self._changed:
                self._sent[answer.task] = sent
            raise

    def _keep(self, work: Work, answer: Scored) -> None:
        if isinstance(work, ToCompare):
            self._distances.record(work, answer.values.get("fid"), answer.problems.get("fid", ""))
        else:
            self._scores.record(work, answer.values, answer.problems)
        if not self._holds_more(work):
            self.look(work.plot)        # comparisons come when all cells are measured
        self._told(work.owner, work.plot, {picture.cell for picture in work.pictures})


    def _holds_more(self, work: Work) -> bool:
        """Whether other work of its plot is in a worker's hands, or ready for them."""
        known = [*self._ready, *(sent.work for sent in self._sent.values())]
        return any(one.plot == work.plot and one.task != work.task for one in known)


def encoder_mark(catalog: ModelCatalog, file: ModelFile) -> str:
    """Names a CLIP and the state of its file. Raises CheckpointError."""
    return f"{file.key}{MARK}{catalog.hash_of(file)[:10]}"
