"""The facade bound to one user: that user's jobs, pictures, uploads and preferences, and nobody else's."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Container, Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from backend.errors import NotAllowed
from backend.facade.api_jobs import ProgramJobs
from backend.facade.components import Components
from backend.facade.faces import UserFaces
from backend.facade.guides import UserGuides
from backend.facade.interrogation import UserDescriptions
from backend.facade.limits import LimitState
from backend.facade.picture_settings import PictureSettings
from backend.facade.plots import UserPlots
from backend.facade.sharing import UserSharing
from backend.facade.submission import Submission
from backend.request.preferences import changed, example
from backend.store.fair_queue import EVERYBODY, SINGLE
from backend.store.job_arrival import Beside
from backend.store.painted_layers import PaintedLayer
from backend.store.uploads import Upload
from backend.store.view_types import ENDED, FileSettings, Image, Job, JobLine, Live, Overview, State, User

if TYPE_CHECKING:
    from backend.facade.backend import Backend


class Door:
    """Everything that a user can do. Thread-safe, made anew for each call where that is handy: it holds nothing.

    Someone else's jobs and pictures are NotFound. No call waits for a device except `wait`. Parts of the door:
    `gallery`, what can be done with pictures that are there; `prompt_library`, styles, wildcards and what else helps
    with writing prompts; `networks`, cards of network files; `plots`, grids of pictures over axes; `guides`, what
    pictures may guide by; `programs`, jobs as programs queue them; `sharing`, what others see;
    `backend`, what is the same for everybody.
    """

    def __init__(self, backend: Backend, components: Components, user: User) -> None:
        self.backend, self.user = backend, user
        self._parts, self._owner = components, user.id
        self.gallery = components.gallery.as_(user)
        self.prompt_library = components.prompt_library.as_(user)
        self.networks = components.networks
        self.plots = UserPlots(components, user)
        self.guides = UserGuides(components, user)
        self.faces = UserFaces(components, user)
        self.descriptions = UserDescriptions(components, user)
        self.programs = ProgramJobs(components, user, self._submit_with, self.cancel)
        self.sharing = UserSharing(components, user)

    # ---- jobs ----

    def submit(self, values: Mapping[str, Any]) -> Job:
        """Queue a request given by field names; returns at once. InvalidRequest names every wrong field.

        What is missing takes the user's settings, then the checkpoint's defaults; random seeds are drawn, styles
        merged and wildcards filled in now.
        """
        return self.submit_all([values])[0]

    def submit_all(self, values: Iterable[Mapping[str, Any]], beside: Beside | None = None) -> list[Job]:
        """Queue several requests in their order at once; none when one of them is wrong. InvalidRequest as above.

        `beside` makes rows that are written with theirs.
        """
        submission = Submission(self._parts, self.user)
        with self._parts.arrivals.arriving(self._owner) as arrival:
            orders = [submission.order(each) for each in values]
            for order in orders:
                self._parts.dispatcher.check(order.request)
            requests, notes = [order.request for order in orders], [order.notes for order in orders]
            self._parts.limits.check(self._owner, requests, self._parts.uploads)
            admission = self._parts.limits.admission(self._owner)
            jobs = self._parts.jobs.add_all(requests, self._owner, notes, beside, admission)
        for job in jobs if arrival.interrupted else ():
            self.cancel(job.id)
        self._parts.dispatcher.arrived(self._owner)
        return jobs

    def cancel(self, job_id: str) -> None:
        """End a waiting job at once, a running one within a network call.

        Its pictures so far stay, and those that are being drawn come as far as they are.

        NotAllowed when it has ended.
        """
        change = self._parts.jobs.cancel(job_id, self._owner)
        self._parts.dispatcher.cancel(job_id)
        if change:
            self._parts.dispatcher.job_changed(change)

    def interrupt(self) -> None:
        """Cancel what runs, as `cancel` does, or what is about to start or has just arrived; waiting jobs stay.

        A plot is cancelled as a whole where nothing else of the user's runs.
        """
        if self._interrupt_known() or self._parts.arrivals.interrupt(self._owner):
            return
        self._interrupt_known()     # it may have arrived in the meantime

    def cancel_all(self) -> None:
        """Cancel all that waits or runs."""
        plots = self._parts.jobs.look.plots(self._owner)
        self._cancel_all("queued", "running")
        for plot in plots:
            self._parts.dispatcher.plot_changed(self._owner, plot)

    def skip(self, jobs: Collection[str] | None = None) -> None:
        """End the batch that is drawn as far as it is, in each running job or those named; go on with the next."""
        for job in self._parts.jobs.pending(self._owner, "running"):
            if jobs is None or job in jobs:
                self._parts.dispatcher.skip(job)

    def may_pause_all(self) -> bool:
        """Where nobody logs in, all jobs are one user's anyway."""
        return self.user.is_admin and self._parts.accounts.exist

    def pause(self, on: bool = True, everybody: bool = False) -> None:
        """Let none of the user's waiting jobs start until they are resumed, or nobody's; what is drawn is finished.

        NotAllowed when the user may not pause everybody.
        """
        if everybody and not self.may_pause_all():
            raise NotAllowed("Only an admin of this Easel may pause the queue of everybody.")
        held = self._parts.jobs.pause(EVERYBODY if everybody else self._owner, on)
        self._parts.dispatcher.recall(None if everybody else self._owner, held)
        if not on:
            self._parts.dispatcher.queued(self._owner)

    def move(self, job_id: str, to: str) -> None:
        """Let a waiting job stand elsewhere among the user's own: "front", "up", "down", "end", or before the job `to`.

        `to` may be a plot: all single jobs come before it then. NotAllowed when it has begun.
        """
        self._parts.dispatcher.recall(self._owner, self._parts.jobs.move(job_id, self._owner, to))

    def dismiss(self, job_id: str | None = None) -> None:
        """A failed or cancelled job need not be told of any more, on any page; None: none of them."""
        self._parts.jobs.dismiss(self._owner, job_id)
        self._parts.dispatcher.dismissed(self._owner)

    def retry(self, job_id: str) -> Job:
        """Queue a failed or cancelled job again: the same request, so the same pictures; those it has are kept.

        InvalidRequest when the user has as many jobs waiting as the limit allows.
        """
        self._parts.jobs.retry(job_id, self._owner, self._parts.limits.admission(self._owner))
        if plot := self._parts.jobs.look.plot_of(job_id):
            self._parts.dispatcher.plot_changed(self._owner, plot)
        self._parts.dispatcher.queued(self._owner)
        return self.job(job_id)

    def job(self, job_id: str) -> Job:
        return self._parts.jobs.get(job_id, self._owner)

    def jobs(self, limit: int = 50) -> list[Job]:
        """Jobs in all states, newest first."""
        return self._parts.jobs.recent(self._owner, limit)

    def queue(self) -> list[Job]:
        """Running and waiting jobs in running order."""
        return self._parts.jobs.queue(self._owner)

    def overview(self, start: int = 0, limit: int | None = None) -> Overview:
        """`queue` without what only a closer look needs, `limit` jobs of it after the first `start`."""
        return self._parts.jobs.overview(self._owner, start, limit)

    def running(self, limit: int) -> list[str]:
        """Ids of the jobs that are being drawn, cells of plots among them."""
        return self._parts.jobs.look.running(self._owner, limit)

    def job_lines(self, limit: int = 50) -> list[JobLine]:
        """`jobs` without the pictures."""
        return self._parts.jobs.lines(self._owner, limit)

    def live(self, job_id: str) -> Live | None:
        """How far a job has come; None unless a worker has it."""
        self._parts.jobs.state(job_id, self._owner)
        return self._parts.dispatcher.live.get(job_id)

    def preview(self, job_id: str) -> bytes | None:
        """The newest preview of a running job, JPEG."""
        self._parts.jobs.state(job_id, self._owner)
        return self._parts.dispatcher.live.preview(job_id)

    def wait(self, job_id: str, timeout: float | None = None) -> Job:
        """Block until the job has ended, `timeout` seconds are over or the house closes; the job as it is then."""
        deadline = None if timeout is None else time.monotonic() + timeout
        feed = self._parts.dispatcher.feed
        while True:
            version = feed.version
            ended = self._parts.jobs.state(job_id, self._owner) in ENDED
            left = None if deadline is None else deadline - time.monotonic()
            if ended or left is not None and left <= 0 or not feed.wait_change(version, left):
                return self.job(job_id)

    def watch(self, cursor: int = 0, timeout: float = 15.0) -> tuple[int, list[dict[str, Any]]]:
        """Block until something has changed for the user since `cursor`, at most `timeout` seconds.

        Gives the next cursor and events that JSON can carry: "queue", "progress", "image", "job", "status". Cursor 0
        gives the present state at once.
        """
        return self._parts.dispatcher.feed.watch(self._owner, cursor, timeout)

    # ---- pictures ----

    def upload(self, data: bytes, *, mask: bool = False, alpha: bool = False) -> Upload:
        """Keep a picture to start from, or a mask (white is painted anew). UserError when it cannot be read.

        `alpha`: what is transparent in the picture stays so; else it becomes white.
        """
        return self._parts.uploads.add(data, self._owner, mask=mask, alpha=alpha)

    def paint(self, data: bytes, layer: PaintedLayer) -> str:
        """Keep what is painted over a picture; its id, or "" for nothing. UserError, NotFound."""
        return self._parts.layers.keep(data, layer, self._owner)

    def sketch(self, picture: str, painted: str) -> tuple[str, str]:
        """The ids of the picture with its paint, and of the mask of what that changed; NotFound."""
        return self._parts.layers.sketch(picture, painted, self._owner)

    def uploaded(self, upload_id: str) -> Path:
        """The PNG of an upload; NotFound."""
        return self._parts.uploads.file(upload_id, self._owner)

    def images(self, limit: int = 50, before: str | None = None, job: str | None = None) -> list[Image]:
        """Newest first; `before` is the id of the last one already seen."""
        return self._parts.history.images(self._owner, limit, before, job)

    def results(self, job_id: str) -> list[Image]:
        """What a job has made, in order; of half-drawn pictures also those that are not kept."""
        return self._parts.history.results(job_id, self._owner)

    def image(self, image_id: str) -> Image:
        """One of the user's, or one on a board that somebody shares with him; NotFound."""
        return self.gallery.seen(image_id)[0]

    def image_file(self, image_id: str) -> Path:
        """Where the file of `image` lies."""
        return self._parts.pictures.file(self.gallery.seen(image_id)[1])

    def archive(self, folder: str) -> IO[bytes]:
        """A ZIP of the pictures that a batch has made so far, open at its start, gone when it is closed; NotFound."""
        return self._parts.archives.archive(folder, self._owner)

    def usable_infotext(self, text: str, but: Container[str]) -> dict[str, Any]:
        """The field values in a picture's settings text, the user's styles taken out of its prompts.

        InvalidRequest names every value that cannot be used here, unless its field is among `but`.
        """
        return PictureSettings(self._parts).usable(text, self.prompt_library.as_theirs(), but)

    def read_settings(self, file: bytes) -> FileSettings:
        """What a picture file by Easel, AUTOMATIC1111, Forge or ComfyUI says of how it was made.

        UserError when it is no picture.
        """
        return PictureSettings(self._parts).of_file(file, self.prompt_library.as_theirs())

    def read_text(self, text: str) -> FileSettings:
        """The same of a settings text that somebody has typed or pasted."""
        return PictureSettings(self._parts).of_text(text, self.prompt_library.as_theirs())

    # ---- preferences, limits ----

    def limits(self) -> list[LimitState]:
        """What the user may ask for, and what of it is used."""
        return self._parts.limits.states(self._owner)

    def preferences(self) -> dict[str, Any]:
        """What the user has chosen: defaults of later jobs, of the tabs, and the look (`request.preferences`)."""
        return self._parts.preferences.of(self._owner)

    def set_preferences(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Keep these beside the others, None takes one away; all that is chosen then.

        InvalidRequest names every wrong one, and then nothing is kept.
        """
        return self._parts.preferences.change(self._owner, values)

    def example_name(self, values: Mapping[str, Any]) -> str:
        """What a picture of the user would be called with these settings. InvalidRequest as above."""
        return example(changed(self.preferences(), values), self.user.name)

    # ---- inside ----

    def _submit_with(self, values: Mapping[str, Any], beside: Beside) -> Job:
        return self.submit_all([values], beside)[0]

    def _interrupt_known(self) -> bool:
        """What is about to start comes first: by the time what runs is looked at, it may have started."""
        return self._cancel_next() or self._cancel_all("running", plot=SINGLE) or self._cancel_plots()

    def _cancel_next(self) -> bool:
        """Cancel what is just about to start; whether there was anything."""
        job = self._parts.jobs.about_to_start(self._owner)
        if job and (plot := self._parts.jobs.look.plot_of(job)):
            self.plots.cancel(plot)
        elif job:
            with contextlib.suppress(NotAllowed):       # it has ended meanwhile
                self.cancel(job)
        return job is not None

    def _cancel_plots(self) -> bool:
        """Cancel the plots of which a cell is drawn; whether there was any."""
        running = self._parts.jobs.pending(self._owner, "running")
        plots = {plot for plot in map(self._parts.jobs.look.plot_of, running) if plot}
        for plot in plots:
            self.plots.cancel(plot)
        return bool(plots)

    def _cancel_all(self, *states: State, plot: str | None = None) -> bool:
        """Whether there was anything."""
        over, running = self._parts.jobs.cancel_all(self._owner, *states, plot=plot)
        for job in running:
            self._parts.dispatcher.cancel(job)
        if over:
            self._parts.dispatcher.cleared(self._owner, over)
        return bool(over or running)
