"""What a user can do, in one class. The package hands it out as `backend.Backend`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

from backend.catalog.checkpoints import Catalog
from backend.catalog.upscalers import UpscalerCatalog
from backend.dispatch.dispatcher import Dispatcher
from backend.dispatch.worker_handle import Handle, ProcessHandle
from backend.errors import CheckpointError, EaselError, InvalidRequest, NotFound, Problem
from backend.facade.gallery import Gallery
from backend.facade.missing_files import missing
from backend.image import file_names as naming
from backend.image import infotext as infotexts
from backend.image.postprocessing import extras_request
from backend.image.save import read as read_picture
from backend.messages import Checkpoint, UpscalerFile
from backend.prompt import chunks
from backend.prompt.tokenizer import Tokenizer
from backend.prompt_library.library import PromptLibrary
from backend.request.output_size import settled
from backend.request.preferences import changed, example, settings
from backend.request.request import FIELDS, Request
from backend.request.rules import EXTRAS
from backend.settings import Settings
from backend.store.batch_archive import BatchArchive
from backend.store.database import Lock
from backend.store.history import History
from backend.store.jobs import Change, Jobs
from backend.store.painted_layers import Layer, PaintedLayers
from backend.store.picture_files import LOCAL, Pictures
from backend.store.preferences import Preferences
from backend.store.records import ENDED, Image, Job, JobLine, Live, Overview, State, Status, Told
from backend.store.rescue import Rescue, open_database
from backend.store.uploads import Upload, Uploads
from backend.store.used_prompts import UsedPrompts

WORKER = "backend.worker.process"

log = logging.getLogger(__name__)


class Backend:
    """Everything that a user can do. Thread-safe; no call waits for a device except `wait` and `close`.

    `owner` is the user's name. Someone else's jobs and pictures are NotFound. Parts of the door: `gallery`, what can be
    done with pictures that are there, and `promptbook`, styles, wildcards and what else helps with writing prompts.
    """

    def __init__(self, settings: Settings, *, start_workers: bool = True, catalog: Catalog | None = None,
                 worker: str = WORKER) -> None:
        """Opens the data folder; StorageError when it cannot be written or another Easel works in it.

        Jobs that were running when the house last went down wait again. `worker` names the module that a worker runs.
        """
        self.settings, self._worker_module = settings, worker
        self._lock = Lock(settings.data / "easel.lock")
        known = settings.database.exists()
        try:
            self._database, rescue = open_database(settings.database)
        except EaselError:
            self._lock.release()
            raise
        self._jobs, self._history = Jobs(self._database), History(self._database)
        self.prompt_library = PromptLibrary(settings.data, settings.models, UsedPrompts(self._database))
        self._preferences = Preferences(self._database)
        self._pictures = Pictures(settings.outputs)
        self.gallery = Gallery(self._database, self._history, self._pictures)
        self._catalog = catalog or Catalog(settings.models, settings.data)
        self._uploads = Uploads(settings.data / "inputs")
        self._upscalers = UpscalerCatalog(settings.models)
        self._dispatcher = Dispatcher(self._jobs, self._history, self._pictures, self._catalog, self._uploads,
                                      self._upscalers)
        if self._jobs.release():
            self._pictures.sweep()
        if rescue or not known and settings.outputs.exists():
            threading.Thread(target=self._rebuild, args=(rescue,), name="history", daemon=True).start()
        threading.Thread(target=self._sweep, name="uploads", daemon=True).start()
        self._started = self._closed = False
        if start_workers:
            self.start_workers()

    def start_workers(self) -> None:
        """Start a worker for each device of the settings, unless that has been done."""
        if self._started or self._closed:
            return
        self._started = True
        workers = {device: partial(self._new_worker, device) for device in self.settings.device.split(",")}
        self._dispatcher.start(workers, self.settings.policy)

    def tell(self, text: str) -> None:
        """A notice for everybody, until this Easel ends."""
        self._dispatcher.add_notice(text)

    def restart_workers(self) -> None:
        """Give workers that have failed to start another try."""
        self._dispatcher.restart()

    def close(self) -> None:
        """Stop the workers within seconds and let go of the data folder; running jobs wait for the next start."""
        if self._closed:
            return
        self._closed = True
        self._dispatcher.close()
        self._database.close()
        self._lock.release()

    # ---- jobs ----

    def submit(self, values: Mapping[str, Any], owner: str = LOCAL) -> Job:
        """Queue a request given by field names; returns at once. InvalidRequest names every wrong field.

        What is missing takes the owner's settings, then the checkpoint's defaults; random seeds are drawn, styles
        merged and wildcards filled in now.
        """
        problems: list[Problem] = []
        own, edits = settings(self.preferences(owner)), values.get("process") == EXTRAS
        request = self._to_edit(own | dict(values)) if edits else self._to_draw(values, own, problems)
        problems += naming.problems(request) + self._uploads.check(request, owner)
        try:
            request = self._upscalers.resolved(request).with_seeds()
        except InvalidRequest as error:
            problems += error.problems
        if problems:
            raise InvalidRequest(problems=problems)
        request = request if edits else self.prompt_library.resolved(self._settled(request, owner), owner)
        self._dispatcher.check(request)
        job = self._jobs.add(request, owner)
        self._dispatcher.queued(owner)
        return self._jobs.get(job, owner)

    def cancel(self, job_id: str, owner: str = LOCAL) -> None:
        """End a waiting job at once, a running one within a network call; its pictures so far stay.

        NotAllowed when it has ended.
        """
        change = self._jobs.cancel(job_id, owner)
        self._dispatcher.cancel(job_id)
        self._tell(change)

    def interrupt(self, owner: str = LOCAL) -> None:
        """Cancel what the owner has running; waiting jobs stay."""
        self._cancel_all(owner, "running")

    def cancel_all(self, owner: str = LOCAL) -> None:
        """Cancel all that the owner has waiting or running."""
        self._cancel_all(owner, "queued", "running")

    def skip(self, owner: str = LOCAL) -> None:
        """Leave out the picture that is being drawn, in each running job of the owner, and go on with the next."""
        for job in self._jobs.pending(owner, "running"):
            if live := self._dispatcher.live.get(job):
                self._dispatcher.cancel(job, live.index)

    def retry(self, job_id: str, owner: str = LOCAL) -> Job:
        """Queue a failed or cancelled job again: the same request, so the same pictures; those it has are kept."""
        self._jobs.retry(job_id, owner)
        self._dispatcher.queued(owner)
        return self._jobs.get(job_id, owner)

    def job(self, job_id: str, owner: str = LOCAL) -> Job:
        return self._jobs.get(job_id, owner)

    def jobs(self, owner: str = LOCAL, limit: int = 50) -> list[Job]:
        """Jobs in all states, newest first."""
        return self._jobs.recent(owner, limit)

    def queue(self, owner: str = LOCAL) -> list[Job]:
        """The owner's running and waiting jobs in running order."""
        return self._jobs.queue(owner)

    def overview(self, owner: str = LOCAL, start: int = 0, limit: int | None = None) -> Overview:
        """`queue` without what only a closer look needs, `limit` jobs of it after the first `start`."""
        return self._jobs.overview(owner, start, limit)

    def job_lines(self, owner: str = LOCAL, limit: int = 50) -> list[JobLine]:
        """`jobs` without the pictures."""
        return self._jobs.lines(owner, limit)

    def is_pending(self, job_id: str) -> bool:
        """Whether the job, anybody's, waits or runs; never waits for the database."""
        return self._jobs.is_pending(job_id)

    def live(self, job_id: str) -> Live | None:
        """How far a job has come; None unless a worker has it."""
        return self._dispatcher.live.get(job_id)

    def wait(self, job_id: str, owner: str = LOCAL, timeout: float | None = None) -> Job:
        """Block until the job has ended, `timeout` seconds are over or the house closes; the job as it is then."""
        deadline = None if timeout is None else time.monotonic() + timeout
        feed = self._dispatcher.feed
        while True:
            version = feed.version
            ended = self._jobs.state(job_id, owner) in ENDED
            left = None if deadline is None else deadline - time.monotonic()
            if ended or left is not None and left <= 0 or not feed.wait_change(version, left):
                return self._jobs.get(job_id, owner)

    def watch(self, owner: str = LOCAL, cursor: int = 0, timeout: float = 15.0) -> tuple[int, list[dict[str, Any]]]:
        """Block until something has changed for the owner since `cursor`, at most `timeout` seconds.

        Gives the next cursor and events that JSON can carry: "queue", "progress", "image", "job", "status". Cursor 0
        gives the present state at once.
        """
        return self._dispatcher.feed.watch(owner, cursor, timeout)

    # ---- pictures ----

    def upload(self, data: bytes, owner: str = LOCAL, *, mask: bool = False) -> Upload:
        """Keep a picture to start from, or a mask (white is painted anew). UserError when it cannot be read."""
        return self._uploads.add(data, owner, mask=mask)

    def paint(self, data: bytes, layer: Layer, owner: str = LOCAL) -> str:
        """Keep what is painted over a picture; its id, or "" for nothing. UserError, NotFound."""
        return PaintedLayers(self._uploads).keep(data, layer, owner)

    def sketch(self, picture: str, painted: str, owner: str = LOCAL) -> tuple[str, str]:
        """The ids of the picture with its paint, and of the mask of what that changed; NotFound."""
        return PaintedLayers(self._uploads).sketch(picture, painted, owner)

    def uploaded(self, upload_id: str, owner: str = LOCAL) -> Path:
        """The PNG of an upload; NotFound."""
        return self._uploads.file(upload_id, owner)

    def images(self, owner: str = LOCAL, limit: int = 50, before: str | None = None,
               job: str | None = None) -> list[Image]:
        """Newest first; `before` is the id of the last one already seen."""
        return self._history.images(owner, limit, before, job)

    def image(self, image_id: str, owner: str = LOCAL) -> Image:
        return self._history.image(image_id, owner)

    def image_file(self, image_id: str, owner: str = LOCAL) -> Path:
        return self._pictures.file(self._history.path(image_id, owner))

    def archive(self, folder: str, owner: str = LOCAL) -> IO[bytes]:
        """A ZIP of the pictures that a batch has made so far, open at its start, gone when it is closed; NotFound."""
        return BatchArchive(self._database, self._pictures).archive(folder, owner)

    def preview(self, job_id: str, owner: str = LOCAL) -> bytes | None:
        """The newest preview of a running job, JPEG."""
        self._jobs.state(job_id, owner)
        return self._dispatcher.live.preview(job_id)

    # ---- preferences ----

    def preferences(self, owner: str = LOCAL) -> dict[str, Any]:
        """What the owner has chosen: defaults of later jobs, of the tabs, and the look (`request.preferences`)."""
        return self._preferences.of(owner)

    def set_preferences(self, values: Mapping[str, Any], owner: str = LOCAL) -> dict[str, Any]:
        """Keep these beside the others, None takes one away; all that is chosen then.

        InvalidRequest names every wrong one, and then nothing is kept.
        """
        return self._preferences.change(owner, values)

    def example_name(self, values: Mapping[str, Any], owner: str = LOCAL) -> str:
        """What a picture of the owner would be called with these settings. InvalidRequest as above."""
        return example(changed(self.preferences(owner), values), owner)

    # ---- catalogue ----

    def checkpoints(self, refresh: bool = False) -> list[Checkpoint]:
        """All that the models folders are known to hold; looks again when asked to `refresh`, or the first time."""
        return self._catalog.scan() if refresh else self._catalog.listed()

    def checkpoint(self, name_or_hash: str = "") -> Checkpoint:
        """By key, file name, title or hash (6 digits or more); "" is the default one. NotFound, CheckpointError."""
        return self._catalog.find(name_or_hash)

    def defaults(self, checkpoint: str = "") -> dict[str, Any]:
        """A value for every field that suits this checkpoint."""
        chosen = self._catalog.find(checkpoint)
        return {name: field.default for name, field in FIELDS.items()} | chosen.defaults | {"checkpoint": chosen.key}

    def upscalers(self, refresh: bool = False) -> list[UpscalerFile]:
        """The files in the models folders that enlarge pictures; those that need no file are not among them."""
        if refresh:
            self._upscalers.scan()
        return self._upscalers.usable()

    def face_restorers(self) -> list[str]:
        """"GFPGAN" and "CodeFormer", as far as their files are there."""
        return self._upscalers.restorers()

    def count_tokens(self, text: str, checkpoint: str = "", steps: int = 20) -> tuple[int, int]:
        """How many tokens a prompt uses, and how many fit into the chunks that it takes: (12, 75)."""
        folder = self._catalog.tokenizer_folder(self._catalog.find(checkpoint))
        tokenizer = Tokenizer.from_folder(folder) if folder else Tokenizer.clip()
        return chunks.count(text, tokenizer, steps)

    def infotext(self, text: str, owner: str = LOCAL) -> dict[str, Any]:
        """The field values in a picture's settings text, the owner's styles taken out of its prompts.

        A checkpoint that is not here is left out.
        """
        return self._with_own_checkpoint(infotexts.read(text, styles=self.prompt_library.as_theirs(owner)))

    def told_by(self, file: bytes, owner: str = LOCAL) -> Told:
        """What a picture file by Easel, AUTOMATIC1111, Forge or ComfyUI says of how it was made.

        UserError when it is no picture.
        """
        saved = read_picture(file)
        found = infotexts.read(saved.infotext, saved.request_json, self.prompt_library.as_theirs(owner))
        values = self._with_own_checkpoint(found) if saved.infotext else {}
        absent = (*missing(saved, found, values, self.prompt_library.files), *self._upscalers.missing(values))
        return Told(saved.infotext, values, absent)

    def status(self) -> Status:
        return self._dispatcher.status()

    # ---- inside ----

    def _settled(self, request: Request, owner: str) -> Request:
        """With the size that it draws, which may follow from the picture that it starts from."""
        return settled(request, self._uploads.size(request.init_image, owner)) if request.init_image else request

    def _with_own_checkpoint(self, found: infotexts.Reading) -> dict[str, Any]:
        values = {name: value for name, value in found.values.items() if name != "checkpoint"}
        for name in filter(None, (found.values.get("checkpoint"), found.model)):
            try:
                return {**values, "checkpoint": self._catalog.find(name).key}
            except (NotFound, CheckpointError):
                continue
        return values

    def _new_worker(self, device: str) -> Handle:
        return ProcessHandle(self._worker_module, device, self.settings.policy, self.settings.extensions)

    def _to_draw(self, values: Mapping[str, Any], own: Mapping[str, Any], problems: list[Problem]) -> Request:
        """The request with its checkpoint's name and defaults; what is wrong with the checkpoint joins `problems`."""
        checkpoint = self._checkpoint_of(values, problems)
        defaults = {**checkpoint.defaults, **own, "checkpoint": checkpoint.key} if checkpoint else own
        try:
            request = Request.parse(values, defaults)
        except InvalidRequest as error:
            raise InvalidRequest(problems=[*problems, *error.problems]) from None
        return request.replace(checkpoint=checkpoint.key) if checkpoint else request

    def _to_edit(self, values: Mapping[str, Any]) -> Request:
        text = values.get("source_text")
        return extras_request(values, self.infotext(text) if isinstance(text, str) else {})

    def _checkpoint_of(self, values: Mapping[str, Any], problems: list[Problem]) -> Checkpoint | None:
        name = values.get("checkpoint", "")
        if not isinstance(name, str):
            return None         # Request.parse says so
        try:
            checkpoint = self._catalog.find(name)
        except (NotFound, CheckpointError) as error:
            problems += error.about("checkpoint")
            return None
        if checkpoint.problem:
            problems.append(Problem(checkpoint.problem, "checkpoint"))
        return checkpoint

    def _cancel_all(self, owner: str, *states: State) -> None:
        over, running = self._jobs.cancel_all(owner, *states)
        for job in running:
            self._dispatcher.cancel(job)
        if over:
            self._dispatcher.cleared(owner, over)

    def _tell(self, change: Change | None) -> None:
        if change:
            self._dispatcher.job_changed(change)

    def _sweep(self) -> None:
        try:
            swept = self._uploads.sweep(self._jobs.pictures())
        except (EaselError, OSError) as error:
            log.warning("uploads that nothing needs could not be deleted: %s", error)
        else:
            log.info("%d uploads that nothing needs were deleted", swept)

    def _rebuild(self, rescue: Rescue | None) -> None:
        if rescue:
            self._dispatcher.add_notice(rescue.notice)
        try:
            made = self._pictures.rebuild_history(self._history)
        except EaselError as error:
            self._dispatcher.add_notice(f"The history could not be made again: {error}")
            return
        if made:
            self._dispatcher.add_notice(f"{made} pictures were taken into the history again from the outputs folder.")
