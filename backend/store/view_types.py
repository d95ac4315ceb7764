"""What is told of a user, a job, a picture and a worker: frozen values, read from the store or the live state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from backend.errors import Problem
from backend.request.request import Request

State = Literal["queued", "running", "done", "failed", "cancelled"]
STATES: tuple[State, ...] = ("queued", "running", "done", "failed", "cancelled")
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")

WorkerState = Literal["starting", "ready", "loading", "restarting", "failed", "stopped", "resting",
                      "waiting"]


Role = Literal["viewer", "artist", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "artist", "admin")     # each may what those before it may


@dataclass(frozen=True, slots=True)
class User:
    """Somebody to whom jobs and pictures belong. `name` is the account's; the id stays the same and is in the rows.

    `role` is what this caller may: that of the account, or less where a token allows less. It makes nobody another.
    """

    id: str
    name: str
    role: Role = field(default="artist", compare=False)

    @property
    def is_admin(self) -> bool:
        """Whether everything of this Easel may be managed."""
        return self.role == "admin"

    @property
    def may_draw(self) -> bool:
        """Whether anything may be made or changed; else what is there may be looked at."""
        return self.role != "viewer"

    @property
    def folder(self) -> str:
        """The name of a folder or file for what is this user's alone, safe on every system."""
        folder = quote(self.name, safe="").replace(".", "%2E")
        return "%6Cocal" if folder == LOCAL.name and self != LOCAL else folder


UserOf = Callable[[str], User]      # by id; NotFound
LOCAL = User("local", "local", "admin")      # who uses Easel where nobody logs in; accounts have ids of another form


def picture_address(image_id: str) -> str:
    """Where a picture is shown."""
    return f"/easel/image/{image_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One saved picture."""

    id: str                         # cannot be guessed; its address is made of it
    job: str
    index: int                      # 0 to the job's count - 1
    width: int
    height: int
    seed: int
    infotext: str
    format: str                     # "png", "jpg" or "webp"
    created: datetime               # UTC
    request: dict[str, Any] = field(repr=False)     # the values that make this picture again, alone
    name: str                       # the file's name without its folder
    starred: bool = False
    binned: bool = False            # in the bin: shown there only
    unfinished: bool = False        # it was interrupted
    model: str = ""                 # the checkpoint's name and the sampler's label as the infotext tells them
    sampler: str = ""
    shared_by: str = ""             # the name of its owner, where it is seen on a board that he shares

    @property
    def url(self) -> str:
        return picture_address(self.id) + self._state

    @property
    def thumb(self) -> str:
        return f"{picture_address(self.id)}/thumb{self._state}"

    @property
    def _state(self) -> str:
        """Browsers keep a picture for good by its address, and a half-drawn one that is finished later keeps its id."""
        return "?unfinished" if self.unfinished else ""

    def summary(self) -> dict[str, Any]:
        """What a gallery shows of it, as JSON values."""
        request = self.request
        return {
            "id": self.id, "job": self.job, "index": self.index, "url": self.url, "thumb": self.thumb,
            "width": self.width, "height": self.height, "created": self.created.isoformat(),
            "seed": str(self.seed),        # a page's numbers have 53 bits
            "prompt": request["prompt"], "init_image": request.get("init_image", ""),
            "process": request.get("process", ""), "name": self.name, "format": self.format,
            "starred": self.starred, "unfinished": self.unfinished, "shared_by": self.shared_by,
        }


@dataclass(frozen=True, slots=True)
class TimeTaken:
    """How long a job has drawn, to its end or to its newest picture, and how many pictures it has made."""

    seconds: float
    pictures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job as it stands."""

    id: str
    owner: str
    state: State
    request: Request
    position: int | None            # 0 = running; 1, 2, ... = waiting, everyone's jobs counted; None = ended
    created: datetime               # UTC, as are the other two
    started: datetime | None
    ended: datetime | None
    attempts: int                   # how often a worker died over it
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLine:
    """A waiting or running job in one line of the queue."""

    id: str
    state: State
    position: int
    prompt: str                     # its beginning
    count: int                      # pictures in all
    done: int                       # pictures saved
    plot: bool = False              # the line stands for a plot: `id` is its, and cells are counted
    paused: bool = False            # by itself
    waiting: bool = False           # some cells of the plot wait, so it can be moved


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """An owner's queue: its first jobs, and how many there are in all."""

    jobs: tuple[QueueLine, ...]
    total: int                      # waiting, running, and held by a worker that has not begun them; a plot is one
    paused: bool = False            # none of the owner's waiting jobs starts
    all_paused: bool = False        # nobody's does


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """A job in a list of all states."""

    id: str
    state: State
    position: int | None            # as in `Job`
    prompt: str
    count: int
    done: int
    created: datetime
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    dismissed: bool = False         # the owner has read how it ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """How far a running job has come."""

    job: str
    index: int = 0                  # the picture in work, the first where there are several; `step` is its
    done: int = 0                   # pictures finished
    count: int = 1
    step: int = 0
    steps: int = 0
    fraction: float = 0.0           # 0 to 1, of the whole job
    eta: float | None = None        # seconds; None until it can be measured
    preview: int = 0                # counts up with every preview; 0 = none yet
    preview_index: int = 0          # the picture that the newest preview shows
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One device's worker process, for the status line."""

    name: str
    state: WorkerState
    device: str = ""
    dtype: str = ""
    memory: int = 0                 # of the device, bytes; 0 where it is not known
    speed: float = 0.0              # operations per second at best; likewise
    checkpoint: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The house as a whole: its workers, and what the people should know (a rescued database, a full disk)."""

    workers: tuple[Worker, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileSettings:
    """What a picture file says of how it was made: the text, values by field name, a sentence per missing thing.

    `plot`: kind, axes and options of the plot that it shows, as `door.plots.create` takes them; None for no plot.
    """

    infotext: str
    values: Mapping[str, Any]
    missing: tuple[str, ...] = ()
    plot: Mapping[str, Any] | None = None
