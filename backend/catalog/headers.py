"""The names and shapes of the tensors in a model file, read without torch and without running anything in the file.

safetensors: 8 bytes of length (little endian), then JSON. `.ckpt`: a pickle, read by an unpickler that replaces every
function and class by an inert stand-in.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Self

from backend.errors import CheckpointError

Shapes = dict[str, tuple[int, ...]]

MAX_HEADER = 64 << 20
_LEGACY_PREFACE = 3         # torch before 1.6 wrote magic number, protocol and system as pickles of their own
_WRAPPERS = ("state_dict", "model_state_dict", "params_ema", "params-ema", "params")
_BROKEN_PICKLE = (pickle.UnpicklingError, zipfile.BadZipFile, EOFError, ValueError, TypeError, KeyError, IndexError,
                  AttributeError, RecursionError, OverflowError, MemoryError, NotImplementedError, RuntimeError)


def read_shapes(path: Path) -> Shapes:
    """Tensor name -> shape. Raises CheckpointError, as a sentence, when the file is unreadable, cut off or no model."""
    try:
        return _safetensors(path) if path.suffix.lower() == ".safetensors" else _pickled(path)
    except OSError as error:
        raise CheckpointError(f"the file cannot be read: {error.strerror or error}") from error


def _safetensors(path: Path) -> Shapes:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(MAX_HEADER, size - 8):
            raise CheckpointError("the file is cut off or is no safetensors file: its header is longer than the file"
                                  if length <= MAX_HEADER else "the file is no safetensors file")
        text = file.read(length)
    try:
        entries = json.loads(text)
        tensors = {name: entry for name, entry in entries.items() if name != "__metadata__"}
        shapes = {name: tuple(int(n) for n in entry["shape"]) for name, entry in tensors.items()}
        end = max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise CheckpointError("the file's safetensors header is broken") from error
    if end > size - 8 - length:
        raise CheckpointError(f"the file is cut off: {size:,} of {end + 8 + length:,} bytes are there; copy it again")
    return shapes


def _pickled(path: Path) -> Shapes:
    try:
        if zipfile.is_zipfile(path):
            loaded = _from_zip(path)
        else:
            with path.open("rb") as file:
                loaded = _from_stream(file)
    except _BROKEN_PICKLE as error:
        raise CheckpointError("the file is cut off or is no PyTorch checkpoint") from error
    inner = _unwrapped(loaded) if isinstance(loaded, dict) else None
    if not isinstance(inner, dict):
        raise CheckpointError("the file holds no table of tensors")
    return {name: value.shape for name, value in inner.items() if isinstance(name, str) and isinstance(value, _Shape)}


def _unwrapped(loaded: dict[Any, Any]) -> Any:
    """The table of tensors, which training programs put under a name of their own."""
    inner = (loaded[key] for key in _WRAPPERS if isinstance(loaded.get(key), dict))
    return next(inner, loaded.get("state_dict", loaded))


def _from_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        entry = next((item for item in archive.infolist() if item.filename.endswith("data.pkl")), None)
        if entry is None or entry.file_size > MAX_HEADER:
            raise pickle.UnpicklingError("no table of contents of a sensible size")
        with archive.open(entry) as file:
            return _Inert(file).load()


def _from_stream(file: BinaryIO) -> Any:
    for _ in range(_LEGACY_PREFACE):
        _Inert(file).load()
    return _Inert(file).load()


class _Shape:
    """What is left of a tensor."""

    def __init__(self, *arguments: Any) -> None:
        self.shape = tuple(int(n) for n in arguments[2])    # storage, offset, size, stride, ...


class _Nothing:
    """Stands for every class and function that a pickle names: can be made, called and filled; does nothing."""

    def __new__(cls, *arguments: Any, **named: Any) -> Self:
        return object.__new__(cls)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        pass

    def __call__(self, *arguments: Any, **named: Any) -> _Nothing:
        return _Nothing()

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        pass


def _parameter(tensor: Any, *rest: Any) -> Any:
    return tensor


class _Inert(pickle.Unpickler):
    """Unpickles tables of tensors to tables of shapes. No name in the file ever reaches a real function or class."""

    _ALLOWED: ClassVar = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _Shape,
        ("torch._utils", "_rebuild_tensor"): _Shape,
        ("torch._utils", "_rebuild_parameter"): _parameter,
    }

    def find_class(self, module: str, name: str) -> Any:
        return self._ALLOWED.get((module, name), _Nothing)

    def persistent_load(self, pid: Any) -> None:
        return None
