"""Tensors out of model files: each is brought to its device and format as it is read, so that none is in memory twice.

A .safetensors file is read ahead by a thread, into the memory where its tensors stay if their format is the file's or
as wide; the next are read while the last ones are converted. `.ckpt` files are read by torch's restricted unpickler,
which refuses one that wants to run code; they are mapped and let go of again every few tensors, because what was mapped
counts as this process's memory until then.
"""

from __future__ import annotations

import math
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from zipfile import ZIP_STORED, BadZipFile, ZipFile, is_zipfile

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from backend.catalog.headers import read_shapes
from backend.errors import CheckpointError
from backend.files.regular_files import open_regular
from backend.worker.models.cancellation import heed

PORTION = 64 << 20         # bytes of a .ckpt file that are mapped at a time
AHEAD = 4                  # portions of a .safetensors file that are read before they are asked for
_READ_AT_ONCE = 1 << 20    # bytes of such a portion, and of its last tensor what is over
_PIECE = 1 << 18           # numbers that are converted at a time: they stay in the processor's cache
_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
           "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "C64": torch.complex64,
           "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
           "U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16, "U8": torch.uint8, "BOOL": torch.bool}
_TRAINER = "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"
_STRANGE = (SafetensorError, BadZipFile, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError)
_CONVERT = "load it once with a tool you trust and save it as .safetensors"

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Format:
    """Where a tensor goes and in which number format: None keeps the file's, `narrow` where that takes fewer bytes."""

    device: torch.device
    dtype: torch.dtype | None
    narrow: bool = False

    def brought(self, tensor: Tensor, mapped: bool) -> Tensor:
        """In the place of a tensor, or a copy; of one that is `mapped` always a copy, which does not hang on the file.

        Convolution kernels have the channels last, see `assemble`.
        """
        order = torch.channels_last if tensor.dim() == 4 else torch.contiguous_format
        dtype = self._dtype(tensor)
        if self.device.type == "cpu" and (tensor.dtype, dtype) == (torch.float16, torch.bfloat16):
            tensor = _to_bfloat16(tensor.clone() if mapped else tensor)
        return tensor.to(self.device, dtype, copy=mapped, memory_format=order)

    def _dtype(self, tensor: Tensor) -> torch.dtype:
        if self.dtype is None or not tensor.is_floating_point():
            return tensor.dtype
        return tensor.dtype if self.narrow and tensor.dtype.itemsize < self.dtype.itemsize else self.dtype


Formats = Callable[[str], Format | None]
"""By a tensor's name; None leaves it out."""

Look = Callable[[Tensor], object]


def read_tensors(path: Path, formats: Formats, look: Look = id) -> dict[str, Tensor]:
    """The tensors of a .safetensors or .ckpt file that `formats` asks for. Raises CheckpointError.

    `look` is shown each as soon as it is there: at that moment it still lies in the processor's cache.
    """
    read_shapes(path)           # refuses what is cut off
    if _is_safetensors(path):
        return _read_safetensors(path, formats, look)
    with _mapped(path) as opened:
        waiting = [(name, wanted) for name in opened.tensors if (wanted := formats(name))]
    read: dict[str, Tensor] = {}
    while waiting:
        waiting = waiting[_read_portion(path, waiting, read, look) :]
    return read


def read_table(path: Path) -> Mapping[str, Any]:
    """All that a .safetensors file or a pickle of tensors holds, with tables in tables. Raises CheckpointError."""
    read_shapes(path)
    loaded = _reading(path, load_file if _is_safetensors(path) else _unpickle)
    return loaded if isinstance(loaded, Mapping) else {}


# ---- .safetensors: read ahead ----


@dataclass(frozen=True, slots=True)
class _Stored:
    """Where a tensor lies in a file: `start` and `size` in bytes."""

    name: str
    dtype: torch.dtype
    shape: Sequence[int]
    start: int
    size: int


def _read_safetensors(path: Path, formats: Formats, look: Look) -> dict[str, Tensor]:
    wanted = {stored: asked for stored in _reading(path, _stored) if (asked := formats(stored.name))}
    read: dict[str, Tensor] = {}
    with _reading(path, open_regular) as file, _alone(), ThreadPoolExecutor(1, "read ahead") as reader:
        coming = _read_ahead(reader, file, _portions(wanted))
        while portion := _reading(path, lambda _: next(coming, None)):
            heed()
            for stored, tensor in portion:
                read[stored.name] = wanted[stored].brought(tensor, mapped=False)
                look(read[stored.name])
    return read


def _stored(path: Path) -> list[_Stored]:
    """All tensors, in the order in which they lie in the file: the library refuses headers that leave room between."""
    with open_regular(path) as file:
        start = 8 + int.from_bytes(file.read(8), "little")
    found = []
    with safe_open(path, "np") as header:
        for name in header.offset_keys():
            tensor = header.get_slice(name)
            dtype, shape = _DTYPES[tensor.get_dtype()], tensor.get_shape()
            found.append(_Stored(name, dtype, tuple(shape), start, dtype.itemsize * math.prod(shape)))
            start += found[-1].size
    return found


def _portions(stored: Iterable[_Stored]) -> Iterator[list[_Stored]]:
    portion: list[_Stored] = []
    size = 0
    for each in stored:
        portion.append(each)
        size += each.size
        if size >= _READ_AT_ONCE:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _read_ahead(
    reader: ThreadPoolExecutor, file: BinaryIO, portions: Iterable[list[_Stored]]
) -> Iterator[list[tuple[_Stored, Tensor]]]:
    """Each portion once it is read, while a thread reads the next ones."""
    coming: deque[Future[list[tuple[_Stored, Tensor]]]] = deque()
    for portion in portions:
        coming.append(reader.submit(lambda portion=portion: [(each, _bytes_of(file, each)) for each in portion]))
        if len(coming) > AHEAD:
            yield coming.popleft().result()
    while coming:
        yield coming.popleft().result()


def _bytes_of(file: BinaryIO, stored: _Stored) -> Tensor:
    """Raises EOFError where the file has become shorter."""
    memory = torch.empty(stored.size, dtype=torch.uint8)
    file.seek(stored.start)
    if file.readinto(memory.numpy()) != stored.size:
        raise EOFError
    return memory.view(stored.dtype).view(stored.shape)


def _to_bfloat16(half: Tensor) -> Tensor:
    """float16 numbers as bfloat16 in the same memory; by way of float32, which is four times as fast as torch's own."""
    flat = half.view(-1)
    narrow = flat.view(torch.bfloat16)
    for numbers, place in zip(flat.split(_PIECE), narrow.split(_PIECE), strict=True):
        place.copy_(numbers.float())
    return narrow.view(half.shape)


@contextmanager
def _alone() -> Iterator[None]:
    """Without torch's threads: handing them single tensors takes longer than the work where other programs run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


# ---- .ckpt: mapped ----


@dataclass(frozen=True, slots=True)
class _Mapped:
    """A file's tensors by name, and how many bytes to read of it at a time."""

    tensors: Mapping[str, Tensor]
    portion: float


def _read_portion(path: Path, waiting: Sequence[tuple[str, Format]], read: dict[str, Tensor], look: Look) -> int:
    """Add to `read` the first of what is waited for, one portion; how many these are."""
    mapped = 0
    with _mapped(path) as opened:
        for number, (name, wanted) in enumerate(waiting):
            if mapped > opened.portion:
                return number
            heed()
            stored = _reading(path, lambda _, name=name: opened.tensors[name])
            mapped += stored.nbytes
            read[name] = wanted.brought(stored, mapped=True)
            look(read[name])
    return len(waiting)


@contextmanager
def _mapped(path: Path) -> Iterator[_Mapped]:
    """The mapping ends with the context; tensors that are left of it keep it."""
    tensors = _reading(path, lambda _: _tensors_in(_unpickle(path)))
    if not tensors:
        raise CheckpointError("the file holds no tensors")
    yield _Mapped(tensors, PORTION if _is_mappable(path) else math.inf)


def _tensors_in(loaded: Any) -> dict[str, Tensor]:
    """Without the attributes that a file may have given to them, which could stand for their methods."""
    inner = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else {}
    return {name: Tensor.detach(value) for name, value in inner.items() if isinstance(value, Tensor)}


def _is_safetensors(path: Path) -> bool:
    return path.suffix.lower() == ".safetensors"


class _Trainer:
    """Stands for the class that trainers of the first SD1 checkpoints left in them as a key; nothing is made of it."""


def _allowed() -> list[Any]:
    """What else than tensors a file may name: early embeddings keep their vectors in a `ParameterDict`; checkpoints
    written by PyTorch Lightning hold numbers of NumPy's and its class, as AUTOMATIC1111's unpickler takes them."""
    numbers = [(np._core.multiarray.scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    kinds = {type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "?")}
    return [nn.ParameterDict, (_Trainer, _TRAINER), *numbers, np.dtype, *kinds]


def _unpickle(path: Path) -> Any:
    with torch.serialization.safe_globals(_allowed()):
        # what torch before 1.6 wrote cannot be mapped, nor a zip that somebody has packed
        return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_mappable(path))


def _is_mappable(path: Path) -> bool:
    """A zip in which all lies as it is."""
    if not is_zipfile(path):
        return False
    with ZipFile(path) as archive:
        return all(entry.compress_type == ZIP_STORED for entry in archive.infolist())


def _reading(path: Path, read: Callable[[Path], Read]) -> Read:
    try:
        return read(path)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path.name} holds more than tensors and could run code; {_CONVERT}") from error
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror or error}") from error
    except _STRANGE as error:
        raise CheckpointError(f"{path.name} is broken or cut off; copy it again") from error
