"""The names and shapes of the tensors in a model file, read without torch and without running anything in the file.

safetensors: 8 bytes of length (little endian), then JSON. Else a pickle as torch writes it: in a zip, or bare before
torch 1.6. Every file is taken for hostile: what is read and what is made of it is bounded.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from backend.catalog.pickle_interpreter import MAX_SIDES, MAX_SIZE, MoreThanTensors, Shape, read_pickle
from backend.errors import CheckpointError
from backend.files.regular_files import open_regular

Shapes = dict[str, tuple[int, ...]]

MAX_HEADER = 16 << 20       # bytes of JSON or of pickle
MAX_BRACKETS = 1_000_000    # objects and lists in a header: small ones take a hundred times their text in memory
MAX_ENTRIES = 200_000       # of the tables in a pickle
MAX_NAME = 1_000            # characters of a tensor's name
MAX_DIRECTORY = 8 << 20     # bytes of a zip read apart from the pickle: its list of entries
MAX_METADATA = 1 << 20      # characters of one metadata value that is kept
SHARED, SPARE = 4, 16 << 20     # times a file's bytes, and bytes beside, that its tensors may have: some share numbers
_SUFFIX = ".safetensors"
_LEGACY_PREFACE = 3         # torch before 1.6 wrote magic number, protocol and system as pickles of their own
_WRAPPERS = ("state_dict", "model_state_dict", "params_ema", "params-ema", "params")
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
BROKEN_ZIP = (zipfile.BadZipFile, EOFError, ValueError, KeyError, IndexError, NotImplementedError, RuntimeError,
               OverflowError)


@dataclass(frozen=True, slots=True)
class Header:
    """What a file tells before its weights. `metadata` is there in safetensors files only."""

    shapes: Shapes
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_header(path: Path) -> Header:
    """Raises CheckpointError, as a sentence, when the file is unreadable, cut off or no model."""
    try:
        with open_regular(path) as file:
            return _safetensors(file) if path.suffix.lower() == _SUFFIX else Header(_pickled(file))
    except OSError as error:
        raise CheckpointError(f"the file cannot be read: {error.strerror or error}") from error


def read_shapes(path: Path) -> Shapes:
    """Tensor name -> shape. Raises CheckpointError as `read_header` does."""
    return read_header(path).shapes


def _safetensors(file: BinaryIO) -> Header:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(MAX_HEADER, size - 8):
        raise CheckpointError("the file is cut off or is no safetensors file: its header is longer than the file"
                              if length <= MAX_HEADER else "the file is no safetensors file")
    text = file.read(length)
    try:
        if text.count(b"{") + text.count(b"[") > MAX_BRACKETS:
            raise ValueError("more lists than tensors could have")
        entries = json.loads(text)
        metadata = entries.pop("__metadata__", None)
        shapes = {name: _shape(entry["shape"]) for name, entry in entries.items()}
        end = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise CheckpointError("the file's safetensors header is broken") from error
    if end > size - 8 - length:
        raise CheckpointError(f"the file is cut off: {size:,} of {end + 8 + length:,} bytes are there; copy it again"
                              if end < MAX_SIZE else "the file's safetensors header is broken")
    return Header(shapes, _texts(metadata))


def _shape(sides: Any) -> tuple[int, ...]:
    """Sides of a tensor from JSON. Raises ValueError for what are none."""
    if not isinstance(sides, list) or len(sides) > MAX_SIDES or not all(type(n) is int for n in sides):
        raise ValueError("no shape")
    if not all(0 <= n < MAX_SIZE for n in sides):
        raise ValueError("no size of a tensor")
    return tuple(sides)


def _texts(metadata: Any) -> dict[str, str]:
    values = metadata.items() if isinstance(metadata, dict) else ()
    return {name: value for name, value in values if isinstance(value, str) and len(value) <= MAX_METADATA}


def _pickled(file: BinaryIO) -> Shapes:
    try:
        loaded = _from_zip(file) if zipfile.is_zipfile(file) else _from_stream(file)
    except MoreThanTensors as error:
        raise CheckpointError(f"the file holds more than tensors ({error}) and could run code; load it once with a "
                              "tool you trust and save it as .safetensors") from error
    except BROKEN_ZIP as error:
        raise CheckpointError("the file is broken or cut off, or is no PyTorch checkpoint") from error
    inner = _unwrapped(loaded) if isinstance(loaded, dict) else None
    if not isinstance(inner, dict):
        raise CheckpointError("the file holds no table of tensors")
    room = _room(file)
    if max(sum(shape.bytes for _, shape in _tensors(table)) for table in (loaded, inner)) > room:
        raise CheckpointError("the file is broken: it tells of more numbers than it holds")
    return {name: tuple(shape) for name, shape in _tensors(inner)}


def _unwrapped(loaded: dict[Any, Any]) -> Any:
    """The table of tensors, which training programs put under a name of their own."""
    inner = (loaded[key] for key in _WRAPPERS if isinstance(loaded.get(key), dict))
    return next(inner, loaded.get("state_dict", loaded))


def _tensors(table: dict[str, Any]) -> Iterator[tuple[str, Shape]]:
    """Tensors of a table, and of tables in it by `name.of.both`: some files keep one table for each network."""
    seen = 0
    for name, value in table.items():
        inner = value if isinstance(value, dict) else _numbered(value) if _is_pair(value) else {"": value}
        seen += len(inner)
        if seen > MAX_ENTRIES:
            raise CheckpointError("the file holds more tensors than any model")
        for part, shape in inner.items() if len(name) <= MAX_NAME else ():
            if isinstance(shape, Shape) and len(part) <= MAX_NAME:
                yield f"{name}.{part}" if part else name, shape


def _is_pair(value: Any) -> bool:
    """Two tables: a hypernetwork's before the keys and before the values of an attention."""
    return isinstance(value, tuple) and not isinstance(value, Shape) and len(value) == 2 and all(
        isinstance(each, dict) and len(each) <= MAX_ENTRIES for each in value)


def _numbered(pair: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    return {f"{number}.{name}": value for number, table in enumerate(pair) for name, value in table.items()}


def _from_zip(file: BinaryIO) -> Any:
    return read_pickle(pickle_in(file)[1])


def _room(file: BinaryIO) -> int:
    """How many bytes all tensors of a file may have."""
    return SHARED * file.seek(0, io.SEEK_END) + SPARE


def pickle_in(file: BinaryIO) -> tuple[str, bytes]:
    """Where in a zip of torch's the pickle lies, and the pickle. Raises one of BROKEN_ZIP where there is none."""
    with zipfile.ZipFile(_Metered(file, MAX_DIRECTORY + MAX_HEADER)) as archive:
        if sum(item.file_size for item in archive.infolist()) > _room(file):
            raise ValueError("much more than the file holds")
        entry = next((item for item in archive.infolist() if item.filename.endswith("data.pkl")), None)
        if entry is None or entry.file_size > MAX_HEADER or entry.compress_type not in _PACKINGS:
            raise ValueError("no table of contents of a sensible size")
        with archive.open(entry) as packed:
            return entry.filename, packed.read(MAX_HEADER)


def _from_stream(file: BinaryIO) -> Any:
    file.seek(0)
    return read_pickle(file.read(MAX_HEADER), skipped=_LEGACY_PREFACE)


class _Metered(io.RawIOBase):
    """A file that gives out a number of bytes and no more. Raises ValueError when more are asked for."""

    def __init__(self, file: BinaryIO, budget: int) -> None:
        self._file, self._budget = file, budget

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size if 0 <= size <= self._budget else self._budget + 1)
        self._budget -= len(content)
        if self._budget < 0:
            raise ValueError("the list of entries is too long")
        return content
