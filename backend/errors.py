"""Every error that Easel raises on purpose.

    EaselError
    |-- UserError                 the person can mend it; the text says how
    |   |-- InvalidRequest        one or more fields of a request are wrong; names each field
    |   |-- NotFound              no such job, image or checkpoint (or not yours)
    |   |-- NotAllowed            the act is not possible now (a finished job cannot be cancelled)
    |   `-- Forbidden             the caller's account may not do this
    |-- CheckpointError           a model file is missing, broken or of a family Easel cannot load
    |-- OutOfMemory               the picture does not fit, even after splitting and tiling
    |-- StorageError              the picture or the database could not be written
    |-- WorkerLost                the worker process died; carries what is known of why
    `-- WorkCancelled             nobody waits any more for what a worker is in the middle of

An error crosses the process border as `Problem`s: a field name (or "") and a sentence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, for a person: `field` is a name of the field table, or "" for the job as a whole."""

    message: str
    field: str = ""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class EaselError(Exception):
    """Base of the tree; `problems` is never empty."""

    def __init__(self, message: str = "", *, field: str = "", problems: Iterable[Problem] = ()) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems) or (Problem(message, field),)
        super().__init__("; ".join(str(problem) for problem in self.problems))

    def about(self, field: str) -> tuple[Problem, ...]:
        """The problems, each said of `field`."""
        return tuple(Problem(problem.message, field) for problem in self.problems)


class UserError(EaselError):
    """The person can mend it."""


class InvalidRequest(UserError):
    """Fields of a request are out of their bounds; every wrong field is listed in `problems`."""


class NotFound(UserError):
    """The thing asked for does not exist, or belongs to someone else."""


class NotAllowed(UserError):
    """The act is not possible in the present state."""


class Forbidden(UserError):
    """The caller's account may not do this."""


class CheckpointError(EaselError):
    """A model cannot be found, read or recognised."""


class OutOfMemory(EaselError):
    """The picture does not fit into memory, even split into single rows and tiles."""


class StorageError(EaselError):
    """A picture or a database row could not be written."""


class DatabaseAway(StorageError):
    """The database server does not answer; the same may succeed when it is there again."""


class WorkerLost(EaselError):
    """The worker process ended in the middle of a job."""


class WorkCancelled(EaselError):
    """Nobody waits any more for what the worker is in the middle of."""

    def __init__(self) -> None:
        super().__init__("It was cancelled.")
