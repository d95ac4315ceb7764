"""Tensors out of model files: each is brought to its device and format as it is read, so that none is in memory twice.

A file is mapped and let go of again every few tensors: what was mapped counts as this process's memory until then.
`.ckpt` files are read by torch's restricted unpickler; one that wants to run code is refused.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from zipfile import is_zipfile

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from backend.catalog.headers import read_shapes
from backend.errors import CheckpointError

PORTION = 64 << 20         # bytes that are mapped at a time
_TRAINER = "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"
_CONVERT = "load it once with a tool you trust and save it as .safetensors"

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Format:
    """Where a tensor goes and in which number format: None keeps the file's, `narrow` where that takes fewer bytes."""

    device: torch.device
    dtype: torch.dtype | None
    narrow: bool = False

    def brought(self, tensor: Tensor) -> Tensor:
        """A copy that does not hang on the file; convolution kernels have the channels last, see `assemble`."""
        order = torch.channels_last if tensor.dim() == 4 else torch.contiguous_format
        dtype = self._dtype(tensor)
        if self.device.type == "cpu" and (tensor.dtype, dtype) == (torch.float16, torch.bfloat16):
            tensor = tensor.float()     # the same bits, and four times as fast as torch's direct way
        return tensor.to(self.device, dtype, copy=True, memory_format=order)

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
    read_shapes(path)           # refuses what is cut off and would crash the process when it is mapped
    with _opened(path) as opened:
        waiting = [(name, wanted) for name in opened.names if (wanted := formats(name))]
    read: dict[str, Tensor] = {}
    while waiting:
        waiting = waiting[_read_portion(path, waiting, read, look) :]
    return read


def read_table(path: Path) -> Mapping[str, Any]:
    """All that a .safetensors file or a pickle of tensors holds, with tables in tables. Raises CheckpointError."""
    read_shapes(path)
    loaded = _reading(path, load_file if _is_safetensors(path) else _unpickle)
    return loaded if isinstance(loaded, Mapping) else {}


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file: its names in the order in which they lie in it, the way to each, and how many bytes to read at a time."""

    names: Sequence[str]
    tensor: Callable[[str], Tensor]
    portion: float


def _read_portion(path: Path, waiting: Sequence[tuple[str, Format]], read: dict[str, Tensor], look: Look) -> int:
    """Add to `read` the first of what is waited for, one portion; how many these are."""
    mapped = 0
    with _opened(path) as opened:
        for number, (name, wanted) in enumerate(waiting):
            if mapped > opened.portion:
                return number
            stored = _reading(path, lambda _, name=name: opened.tensor(name))
            mapped += stored.nbytes
            read[name] = wanted.brought(stored)
            look(read[name])
    return len(waiting)


@contextmanager
def _opened(path: Path) -> Iterator[_Opened]:
    """The mapping ends with the context; tensors that are left of it keep it."""
    if _is_safetensors(path):
        with _reading(path, lambda path: safe_open(path, "pt")) as file:
            yield _Opened(file.offset_keys(), file.get_tensor, PORTION)
        return
    loaded = _reading(path, _unpickle)
    inner = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else {}
    tensors = {name: value for name, value in inner.items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError("the file holds no tensors")
    yield _Opened(list(tensors), tensors.__getitem__, PORTION if is_zipfile(path) else math.inf)


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
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:                    # written by torch before 1.6: cannot be mapped
            return torch.load(path, map_location="cpu", weights_only=True)


def _reading(path: Path, read: Callable[[Path], Read]) -> Read:
    try:
        return read(path)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path.name} holds more than tensors and could run code; {_CONVERT}") from error
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror or error}") from error
    except (SafetensorError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path.name} is broken or cut off; copy it again") from error
