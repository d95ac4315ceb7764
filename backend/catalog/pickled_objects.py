"""The objects in a file that torch has pickled, as inert records: no class of theirs is looked for, nothing is run.

An object is the name of its class and the table of what was saved of it, a tensor the place of its numbers in the file.
Objects may hold each other in circles; whoever walks them counts.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from backend.catalog.headers import BROKEN_ZIP, pickle_in
from backend.catalog.pickle_interpreter import MAX_SIZE, OPAQUE, Interpreter, Named, Opaque, Shape, built, shape_of
from backend.errors import CheckpointError
from backend.files.regular_files import open_regular


class Instance(Opaque):
    """An object: the full name of its class, and what was saved of it."""

    __slots__ = ("kind", "state")

    def __init__(self, kind: str) -> None:
        self.kind, self.state = kind, dict[str, Any]()

    @property
    def name(self) -> str:
        """Of its class, without the module."""
        return self.kind.rpartition(".")[2]


class StoredTensor(Opaque):
    """A tensor of `shape`, whose numbers lie in a storage of the file from `offset` on, `strides` apart."""

    __slots__ = ("numbers", "offset", "shape", "storage", "strides")

    def __init__(self, storage: str, numbers: str, offset: int, shape: Shape, strides: Shape) -> None:
        """`numbers` as torch names them: HalfStorage, FloatStorage, ..."""
        self.storage, self.numbers, self.offset, self.shape, self.strides = storage, numbers, offset, shape, strides


def read_objects(path: Path) -> Any:
    """The root of what was pickled: tables, lists, texts, numbers, Instances and StoredTensors. CheckpointError."""
    try:
        with open_regular(path) as file:
            return built(_Objects, _pickle_of(file))
    except OSError as error:
        raise CheckpointError(f"the file cannot be read: {error.strerror or error}") from error
    except BROKEN_ZIP as error:
        raise CheckpointError("the file is broken or cut off, or is no PyTorch checkpoint") from error


def _pickle_of(file: BinaryIO) -> bytes:
    if not zipfile.is_zipfile(file):
        raise zipfile.BadZipFile
    return pickle_in(file)[1]


class _Objects(Interpreter):
    """Keeps objects, lists and numbers, which are of no use where only shapes are asked for."""

    def named(self, module: Any, name: Any) -> Any:
        return Named(module, name)

    def check(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Nobody unpickles the file, so that nothing of it is ever called."""

    def tensor(self, arguments: tuple[Any, ...]) -> Any:
        storage, offset, sides, strides = (*arguments, OPAQUE)[:4]
        shape, steps = shape_of(sides), shape_of(strides)
        match storage:
            case (_, Named(name=(_, numbers)), str(key), *_) if type(offset) is int and 0 <= offset < MAX_SIZE:
                whole = OPAQUE not in (shape, steps) and len(shape) == len(steps)
                return StoredTensor(key, numbers, offset, shape, steps) if whole else OPAQUE
        return OPAQUE

    def new(self, made: Any) -> Any:
        return Instance(".".join(made.name)) if isinstance(made, Named) else OPAQUE

    def build(self, made: Any, state: Any) -> None:
        if isinstance(made, Instance) and isinstance(state, dict) and not made.state:
            made.state = state

    def _stored(self, _: Any) -> None:
        """What names a storage is taken for the storage."""

    def _list(self, _: Any) -> None:
        self.stack.append(self._to_mark())

    def _append(self, _: Any) -> None:
        value = self.stack.pop()
        if isinstance(self.stack[-1], list):
            self.stack[-1].append(value)

    def _appends(self, _: Any) -> None:
        values = self._to_mark()
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(values)

    def _literal(self, value: Any) -> None:
        self.stack.append(value)

    acts: ClassVar[dict[str, Callable[[Any, Any], None]]] = Interpreter.acts | {
        "BINPERSID": _stored, "LIST": _list, "APPEND": _append, "APPENDS": _appends,
        "EMPTY_LIST": lambda self, _: self._literal([]), "NONE": lambda self, _: self._literal(None),
        "NEWTRUE": lambda self, _: self._literal(True), "NEWFALSE": lambda self, _: self._literal(False),
        "BINFLOAT": _literal,
    }
