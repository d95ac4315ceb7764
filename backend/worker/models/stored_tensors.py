"""Numbers of tensors out of a file of torch's, read from where they lie: nothing is unpickled."""

from __future__ import annotations

import math
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from backend.catalog.headers import BROKEN_ZIP, pickle_in
from backend.catalog.pickled_objects import StoredTensor
from backend.errors import CheckpointError
from backend.files.regular_files import open_regular

_NUMBERS = {"HalfStorage": "<f2", "FloatStorage": "<f4", "DoubleStorage": "<f8", "BFloat16Storage": "<u2"}
_PICKLE = "data.pkl"


class StoredTensors:
    """An open file. More than twice its size is not read out of it: no file needs that."""

    def __init__(self, path: Path) -> None:
        """Raises CheckpointError for what is no zip of torch's."""
        self._path, self._closing = path, ExitStack()
        try:
            file = self._closing.enter_context(open_regular(path))
            self._folder = pickle_in(file)[0].removesuffix(_PICKLE)
            self._archive = self._closing.enter_context(zipfile.ZipFile(file))
            self._size = path.stat().st_size
        except (OSError, *BROKEN_ZIP) as error:
            self._closing.close()
            raise self._broken() from error
        self._left = 2 * self._size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def read(self, stored: StoredTensor) -> Tensor:
        """A copy in float32. Raises CheckpointError for what does not lie in the file."""
        try:
            numbers = self._numbers(stored)[stored.offset:]
        except (OSError, *BROKEN_ZIP) as error:
            raise self._broken() from error
        last = sum((side - 1) * step for side, step in zip(stored.shape, stored.strides, strict=True))
        if math.prod(stored.shape) > len(numbers) or last >= len(numbers):
            raise self._broken()
        steps = [step * numbers.itemsize for step in stored.strides]
        found = np.lib.stride_tricks.as_strided(numbers, stored.shape, steps, writeable=False)
        return torch.from_numpy(np.array(found, np.float32, order="C"))

    def _numbers(self, stored: StoredTensor) -> np.ndarray:
        """All that a tensor's storage holds."""
        entry = self._archive.getinfo(f"{self._folder}data/{stored.storage}")
        self._left -= entry.file_size
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > self._size or self._left < 0:
            raise zipfile.BadZipFile("more than the file holds")
        numbers = np.frombuffer(self._archive.read(entry), _NUMBERS[stored.numbers])
        return (numbers.astype(np.uint32) << 16).view(np.float32) if stored.numbers.startswith("BFloat") else numbers

    def _broken(self) -> CheckpointError:
        return CheckpointError(f"{self._path.name} is broken or cut off; copy it again")
