"""What the engine holds: a job in its hands, and the pictures that one program draws."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from backend.catalog.model_file import ModelFile
from backend.catalog.network_hashes import listed_name
from backend.catalog.network_problems import FILE_KINDS, network_names
from backend.messages import Run
from backend.request.choices import EXTRAS, NO_UPSCALER
from backend.worker.draw.init_image import Source
from backend.worker.draw.work_items import Drawing, Finished, Work
from backend.worker.guidance.interrupted import Interrupted
from backend.worker.guidance.row import Answer, Row
from backend.worker.models.autoencoder import Autoencoder
from backend.worker.models.chosen_vae import ChosenVae
from backend.worker.models.codec import DecodeLatent
from backend.worker.models.model_base import Model
from backend.worker.pixels import Pixels
from backend.worker.pixels.pixel_networks import PixelWork
from backend.worker.pixels.postprocess import Postprocessing


class HashedFile(Protocol):
    """A file that a picture names by its hash, the short one of AUTOMATIC1111."""

    @property
    def hash(self) -> str: ...


@dataclass(slots=True, eq=False)
class Task:
    """A job: which of its pictures wait, which are being drawn, and what they start from."""

    run: Run
    waiting: deque[int]
    source: Source | None = None
    larger: Pixels | None = None                    # a source enlarged, for SD upscale
    larger_of: Source | None = None                 # which one
    other_starts: dict[tuple[str, str], Source | None] = field(default_factory=dict)    # by whose face was put in
    drawing: set[int] = field(default_factory=set)
    cancelled: bool = False
    _networks: dict[int, Mapping[tuple[str, str], ModelFile]] = field(default_factory=dict)

    @property
    def postprocesses(self) -> bool:
        """Whether the job works on a finished picture, without a checkpoint."""
        return self.run.request.process == EXTRAS

    @property
    def key(self) -> str:
        """Of the checkpoint that its pictures start on; "" where none is needed."""
        return self.run.checkpoint.key if self.run.checkpoint else ""

    def take(self) -> list[int]:
        """The pictures of the next program: one, or those that are missing of what is drawn as one chain."""
        rounds = 1 if self.postprocesses else self.run.request.rounds
        chain = self.waiting[0] // rounds
        taken = sorted(index for index in self.waiting if index // rounds == chain)
        self.waiting = deque(index for index in self.waiting if index not in taken)
        self.drawing.update(taken)
        return taken

    def networks(self, index: int) -> Mapping[tuple[str, str], ModelFile]:
        """The network files that the prompts of a picture name, by kind and key."""
        request = self.run.request
        known = index // request.rounds if request.prompts else 0
        if known not in self._networks:
            named = network_names(request.of_image(index)) if self._names_networks else {}
            files = [self.run.files[name] for name in named if name in self.run.files]
            self._networks[known] = {(file.kind, file.key): file for file in files}
        return self._networks[known]

    @property
    def _names_networks(self) -> bool:
        return any(kind in FILE_KINDS.values() for kind, _ in self.run.files)

    def batch_of(self, index: int) -> int:
        """The number of the batch that a picture belongs to."""
        return index // (self.run.request.rounds * self.run.request.batch_size)


@dataclass(frozen=True, slots=True)
class Ended:
    """A program is over: with its last picture, with an `unfinished` one where it was interrupted, or with none."""

    pixels: Pixels | None
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """A picture that a program will deliver, after so many denoiser calls."""

    index: int
    calls: int
    notes: tuple[str, ...] = ()


@dataclass(slots=True, eq=False, weakref_slot=True)
class Program:
    """A generator at work, what it waits for, and which pictures of its job it has still to deliver."""

    task: Task
    model: Model | None             # None for one that works on a finished picture
    due: deque[Due]
    drawing: Drawing | Postprocessing
    work: Work | PixelWork | None = None
    answers: list[Answer | None] = field(default_factory=list)
    call: int = 0                   # network calls made and tiles enlarged since the last picture
    expected: int = 0               # how many there will be until the next
    sigma: float = 0.0
    previewed: float = 0.0
    notes: list[str] = field(default_factory=list)
    hashes: dict[str, dict[str, HashedFile]] = field(default_factory=dict)  # infotext key -> name -> what was used
    interrupted: bool = False
    in_use: Model | None = None     # what it goes on with: the model, until another takes over
    vae: ChosenVae | None = None    # in place of each checkpoint's own

    def __post_init__(self) -> None:
        self.in_use = self.model
        self.expected = self.due[0].calls

    @property
    def index(self) -> int:
        """The picture that is being drawn."""
        return self.due[0].index

    @property
    def autoencoder(self) -> Autoencoder | None:
        """What encodes and decodes its pictures."""
        return self.vae or self.in_use

    @property
    def facts(self) -> dict[str, str]:
        """Infotext keys that only the worker knows. Waits for the hashes of files that were read just now."""
        sha256 = self.model.sha256 if self.model else ""
        model = {"Model hash": sha256[:10]} if sha256 else {}
        if self.vae:
            model |= {"VAE hash": self.vae.sha256[:10], "VAE": self.vae.name}
        networks = {key: _listed(files) for key, files in self.hashes.items()}
        return model | {key: listed for key, listed in networks.items() if listed}

    @property
    def rows(self) -> Sequence[Row]:
        """The rows that it waits for, if it does."""
        return self.work if isinstance(self.work, list) else ()

    @property
    def draws_no_more(self) -> bool:
        """Whether the latent that it wants decoded is the last one for which it asks the network."""
        request = self.task.run.request
        goes_on = request.enable_hr or request.detailers or request.sd_upscale != NO_UPSCALER or len(self.due) > 1
        return isinstance(self.work, DecodeLatent) and not goes_on

    def go_on(self, answer: Any) -> Work | PixelWork | Ended:
        """Answer what it waits for; what it asks for next, or its end."""
        return self._until_next(partial(self.drawing.send, answer))

    def interrupt(self) -> Work | PixelWork | Ended:
        """End it with what there is of its picture, as `go_on`. What would be made from that picture is not due."""
        self.interrupted = True
        self.due = deque([self.due[0]])
        return self._until_next(partial(self.drawing.throw, Interrupted()))

    def _until_next(self, going: Callable[[], Work | PixelWork]) -> Work | PixelWork | Ended:
        """Once interrupted, it may still decode; whatever else it asks for is interrupted, too."""
        try:
            work = going()
            while self.interrupted and not isinstance(work, DecodeLatent | Finished):
                work = self.drawing.throw(Interrupted())
        except StopIteration as end:
            return Ended(end.value)
        except Interrupted as half:
            return Ended(half.pixels, unfinished=True)
        return work

    def note(self, text: str) -> None:
        """Something that the person should know, told once with the next picture; "" is nothing."""
        if text and text not in self.notes:
            self.notes.append(text)

    def next(self) -> bool:
        """The picture that was drawn is delivered; whether there is another."""
        self.due.popleft()
        self.call, self.notes = 0, []
        self.expected = self.due[0].calls if self.due else 0
        return bool(self.due)


def _listed(files: Mapping[str, HashedFile]) -> str:
    names = {listed_name(name): file.hash for name, file in files.items()}
    return ", ".join(f"{name}: {digest}" for name, digest in names.items() if digest)


def jobs_of(programs: Iterable[Program]) -> list[str]:
    """The jobs whose pictures these are, each once."""
    return list(dict.fromkeys(program.task.run.job for program in programs))
