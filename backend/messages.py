"""What the front process and a worker process say to each other: frozen, picklable, without tensors.

Commands go to the worker, events come back. A worker that runs elsewhere (a Ray actor) speaks the same words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from backend.catalog.model_file import CHECKPOINT, FileKey, ModelFile
from backend.errors import Problem
from backend.request.record import Record
from backend.request.request import Request

# ---- commands ----

@dataclass(frozen=True, slots=True)
class Run:
    """Make the pictures of `request` whose index is in `indices`. Seeds are already drawn.

    `files` are the model files that it needs, by kind and name; `pictures` the PNG files that the request names, by id.
    `plot`: the id of the plot whose cell the job is; jobs of one plot share their work. "" for a job of its own.
    """

    job: str
    owner: str
    request: Request
    indices: tuple[int, ...]
    files: dict[FileKey, ModelFile] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    plot: str = ""

    @property
    def checkpoint(self) -> ModelFile | None:
        """What the pictures are drawn with; None for a job that draws nothing."""
        return self.files.get((CHECKPOINT, self.request.checkpoint))


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop the job at the next network call, or in the middle of what is prepared for it; pictures in work come as far
    as they are. `job` may be the task of a `Look` instead.
    """

    job: str


@dataclass(frozen=True, slots=True)
class Skip:
    """End the pictures of a job that are being drawn, all of one batch, as far as they are, and go on with the next."""

    job: str


ScoreKind = Literal["clip_t", "clip_i", "ssim", "psnr", "sharpness", "spread"]
"""clip_t: picture and prompt, clip_i, ssim and psnr: picture and reference, spread: of several pictures."""


@dataclass(frozen=True, slots=True)
class Score:
    """Measure a picture by `kinds`. `pictures` are picture files: the one, or for "spread" all of a row.

    `prompt` is in plain words, `reference` a picture file, `encoder` the CLIP; each is needed by some kinds only.
    """

    task: str
    pictures: tuple[bytes, ...]
    kinds: tuple[ScoreKind, ...]
    prompt: str = ""
    reference: bytes = b""
    encoder: ModelFile | None = None


@dataclass(frozen=True, slots=True)
class MeasureDistance:
    """FID between two sets of picture files, given by their paths, seen through `network`."""

    task: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    network: ModelFile


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Make what a guide's model would be shown, of the picture file `picture`, at a height and width.

    With `find_points` the answer has the points of the people in it, too; with `points` these are drawn in place of
    what is in the picture: see `pose_points`. `job`: as in a job of this request, whose pictures are `pictures` by id.
    """

    task: str
    unit: Record
    picture: bytes
    size: tuple[int, int]
    files: dict[FileKey, ModelFile] = field(default_factory=dict)
    find_points: bool = False
    points: str = ""
    job: Request | None = None
    pictures: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CompareFaces:
    """Say how alike the largest faces of two picture files are, by the network in `file`."""

    task: str
    pictures: tuple[bytes, bytes]
    file: ModelFile


@dataclass(frozen=True, slots=True)
class LocateFaces:
    """Say where the faces of a picture file are, by the networks beside `file`."""

    task: str
    picture: bytes
    file: ModelFile


@dataclass(frozen=True, slots=True)
class Describe:
    """Say what is in a picture file by the network in `file`: a captioner, or a tagger from a certainty on."""

    task: str
    picture: bytes
    file: ModelFile
    beams: int = 1
    shortest: int = 24          # tokens
    longest: int = 48
    threshold: float = 0.5


@dataclass(frozen=True, slots=True)
class Unload:
    """Free the device of the models that nothing is drawn with."""


@dataclass(frozen=True, slots=True)
class Stop:
    """End the worker when the call in flight is over."""


# ---- events ----

@dataclass(frozen=True, slots=True)
class Ready:
    """The worker is up. `device` for people ("NVIDIA H200", "CPU, 2 threads"), `dtype` like "float16".

    `notices` are what people should know of how it started: extensions that were left out. `memory` in bytes and
    `speed` in operations per second are the device's own; 0 where they are not known.
    """

    device: str
    dtype: str
    notices: tuple[str, ...] = ()
    memory: int = 0
    speed: float = 0.0


@dataclass(frozen=True, slots=True)
class Opening:
    """The worker is about to let this extension register, or with "" is done with it; before `Ready`."""

    extension: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """No machine of a cluster has room for the worker yet; `done` once one has, and it starts. Before `Ready`."""

    done: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The worker cannot work here, and another try would not help: no such device. It ends after saying so."""

    message: str


Activity = Literal["idle", "preparing", "loading", "encoding", "denoising", "compiling", "decoding", "upscaling",
                   "scoring"]
"""What a worker can be in the middle of. "preparing" is all between the calls of networks, "encoding" is of words and
pictures, "compiling" is a call of a denoising network of which blocks are compiled first, "upscaling" of all networks
on pixels, "scoring" measures finished pictures; "idle" waits for commands."""

ALIVE_SECONDS = 1.0

UNFINISHED = "Unfinished"       # the infotext key of a picture that was interrupted: "step 7 of 20"


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of denoising networks since the worker started: how many, their seconds, rows, and rows with padding."""

    count: int = 0
    seconds: float = 0.0
    rows: int = 0
    places: int = 0


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Bytes of a device's memory that are in use, each 0 where it is not known.

    `tensors`: what the worker's tensors hold on a card. `worker`: all that the worker keeps from others, what torch has
    reserved on a card or the process' resident memory. `device`: what everybody on the device uses.
    """

    tensors: int = 0
    worker: int = 0
    device: int = 0


@dataclass(frozen=True, slots=True)
class Alive:
    """Sent every `ALIVE_SECONDS` once the worker is ready, by a thread that no call on the device holds up.

    The worker has been in the middle of one `activity` for `seconds`, for `jobs`. A worker that is busy says so with
    growing seconds; one that is stopped or hangs says nothing. It is left out while other events wait to be read.
    `extension`: the package whose own code it stands in.
    """

    activity: Activity
    jobs: tuple[str, ...] = ()
    seconds: float = 0.0
    extension: str = ""
    calls: Calls = Calls()
    memory: MemoryUse = MemoryUse()


@dataclass(frozen=True, slots=True)
class Loading:
    """A checkpoint is being read; `done` when it is in memory."""

    checkpoint: str
    done: bool = False


@dataclass(frozen=True, slots=True)
class Hashed:
    """The hash of a file that was loaded without one has become known, for the catalogue."""

    key: str
    sha256: str
    kind: str = CHECKPOINT


@dataclass(frozen=True, slots=True)
class Progress:
    """Picture `index` of `job` has made `step` of `steps` denoiser calls."""

    job: str
    index: int
    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class Preview:
    """A rough picture on the way: JPEG bytes."""

    job: str
    index: int
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture: `pixels` is RGB, uint8, row by row (height * width * 3 bytes), or RGBA where a source is see-through.

    One that was interrupted is `unfinished`, and its facts say how far it is.
    """

    job: str
    index: int
    width: int
    height: int
    pixels: bytes
    facts: dict = field(default_factory=dict)      # infotext keys only the worker knows: "Model hash", ...
    notes: tuple[str, ...] = ()                    # what the person should know: "decoded in tiles, memory was short"
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class Skipped:
    """Picture `index` was left out on request (Skip); an unfinished one may have come before this."""

    job: str
    index: int


@dataclass(frozen=True, slots=True)
class Done:
    """No picture of the job is left to make."""

    job: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job was stopped; nothing more will come of it."""

    job: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ended with an error; `detail` (a traceback with job, step and sigma) is for the log, not the person.

    `extension`: the package whose code has raised it, which the worker has switched off.
    """

    job: str
    problems: tuple[Problem, ...]
    detail: str = ""
    extension: str = ""


@dataclass(frozen=True, slots=True)
class Scored:
    """The answer to `Score` or `MeasureDistance`: a value by kind ("fid" for a distance), or why there is none."""

    task: str
    values: dict[str, float] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preprocessed:
    """The answer to `Preprocess`: RGB, uint8, row by row, and what was asked besides; or the `problem` with it."""

    task: str
    width: int = 0
    height: int = 0
    pixels: bytes = b""
    problem: Problem | None = None
    points: str = ""


@dataclass(frozen=True, slots=True)
class FacesCompared:
    """The answer to `CompareFaces`: the cosine of the two identities, or the `problem` for which there is none."""

    task: str
    similarity: float = 0.0
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class FacesLocated:
    """The answer to `LocateFaces`: the `boxes` (left, top, right, bottom), in shares of the picture's sides.

    Whether each is a man, where a network tells; for each of FACE_ORDERS the places of all boxes in that order. Or the
    `problem` for which there is nothing.
    """

    task: str
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    male: tuple[bool | None, ...] = ()
    orders: dict[str, tuple[int, ...]] = field(default_factory=dict)
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Described:
    """The answer to `Describe`: a sentence, or tags with their certainties, the surest first; or the `problem`."""

    task: str
    caption: str = ""
    tags: tuple[tuple[str, float], ...] = ()
    problem: Problem | None = None


# What somebody waits for, and what answers it.
Look = Preprocess | CompareFaces | LocateFaces | Describe
Looked = Preprocessed | FacesCompared | FacesLocated | Described

Command = Run | Cancel | Skip | Score | MeasureDistance | Look | Unload | Stop
Event = (
    Ready | Opening | Waiting | Refused | Alive | Loading | Hashed | Progress | Preview | Picture | Skipped | Done
    | Cancelled | Failed | Scored | Looked
)
